package gateway_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// told is a call and its answer.
type told struct {
	call
	answer
	at time.Time // when it was asked
}

func (w *world) ask(c call) told {
	at := time.Now()
	a, err := w.do(c)
	if err != nil {
		w.t.Errorf("%s %s: %v", c.method, c.path, err)
	}
	return told{c, a, at}
}

// transcript is what was asked and answered, and log lines, as a page of docs shows them.
type transcript struct {
	text  strings.Builder
	lines []string
}

func (p *transcript) add(title string, a told) {
	fmt.Fprintf(&p.text, "%s:\n\n```\n%s %s\n", title, a.method, a.path)
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		fmt.Fprintf(&p.text, "%s: %s\n", name, a.header[name])
	}
	if a.body != "" {
		fmt.Fprintf(&p.text, "\n%s\n", a.body)
	}
	fmt.Fprintf(&p.text, "\n%d\n", a.Status)
	for _, name := range []string{"Content-Type", "Location", "Preference-Applied", "Retry-After", "X-Correlation-Id"} {
		if v := a.Header.Get(name); v != "" {
			fmt.Fprintf(&p.text, "%s: %s\n", name, v)
		}
	}
	fmt.Fprintf(&p.text, "\n%s\n```\n\n", strings.TrimSpace(a.Text))
}

const begin, end = "<!-- said -->\n", "<!-- end -->\n"

// different is what differs from run to run. A later click is told the claim id as soon as it is known, and until then when to
// ask again.
var different = regexp.MustCompile(`,?"(claim_id|grant_id)":"[^"]*"|Retry-After: 1\n|/v1/claims/\S+|\d{4}-\d\d-\d\d(T[0-9:.]+Z)?|"latency_ms":[0-9.]+|X-Correlation-Id: [0-9a-f]{32}\n|sent [0-9.]+ ms`)

// check holds the page to what was said, or writes it.
func (p *transcript) check(t *testing.T, path string) {
	t.Helper()
	said := "\n" + p.text.String() + "What the gateway logged of them:\n\n```\n" + strings.Join(p.lines, "\n") + "\n```\n\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), begin)
	shown, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for what was said", path)
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(before+begin+said+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, want := different.ReplaceAllString(said, ""), different.ReplaceAllString(shown, ""); got != want {
		t.Errorf("%s shows what is not said any more (-rewrite writes it): said\n%s\nshown\n%s", path, got, want)
	}
}
