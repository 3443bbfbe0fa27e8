package schema

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/event/schema"
)

var rewrite = flag.Bool("rewrite", false, "write the golden records into docs/events.md")

const eventsPage = "../../docs/events.md"

var goldenBlock = regexp.MustCompile("(?ms)^<!-- golden: ([^\n]*) -->\n(?:```text\n.*?^```\n)?")

// TestPageShowsGoldens: the bytes on docs/events.md are those of the golden files, and of each record there are some.
func TestPageShowsGoldens(t *testing.T) {
	page := readFile(t, eventsPage)
	shown := map[string]bool{}
	filled := goldenBlock.ReplaceAllStringFunc(page, func(block string) string {
		name := goldenBlock.FindStringSubmatch(block)[1]
		shown[name] = true
		g := goldenNamed(t, name)
		return "<!-- golden: " + name + " -->\n```text\nkey: " + g.Key + "\n" + strings.Join(g.Headers, "\n") + "\n\n" + g.Value + "\n```\n"
	})
	for _, g := range readGoldens(t) {
		if kind, _, variant := strings.Cut(g.name, ".least"); !variant && !strings.HasSuffix(kind, ".last") && !shown[g.name] {
			t.Errorf("%s is not on the page", g.name)
		}
	}
	switch {
	case filled == page:
	case *rewrite:
		if err := os.WriteFile(eventsPage, []byte(filled), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("docs/events.md shows other bytes than the golden files have: `go test ./test/schema -rewrite` writes it anew")
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPageNamesMembers: the page's table of each record has the members of its schema, in their order.
func TestPageNamesMembers(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")
	sections := strings.Split(readFile(t, eventsPage), "\n## ")
	for title, c := range map[string]struct{ topic, eventType string }{
		"Claim:":                       {"coupon.requests", "firstcome.claim.requested"},
		"Definition:":                  {"coupon.requests", "firstcome.coupon.defined"},
		"Definition that took effect:": {"coupon.grants", "firstcome.coupon.defined"},
		"Grant:":                       {"coupon.grants", "firstcome.coupon.granted"},
	} {
		at := slices.IndexFunc(sections, func(s string) bool { return strings.HasPrefix(s, title) })
		if at < 0 {
			t.Errorf("no section %s", title)
			continue
		}
		var named []string
		for _, m := range row.FindAllStringSubmatch(sections[at], -1) {
			named = append(named, m[1])
		}
		want := orderedMembers(t, schema.Value(c.topic, c.eventType))
		if title == "Definition that took effect:" { // "and three more"
			want = want[len(orderedMembers(t, schema.Value("coupon.requests", c.eventType))):]
		}
		checkSame(t, title, named, want)
	}
}

// TestPageNamesHeaders: each header that a schema knows is on the page, and so is each reason.
func TestPageNamesHeaders(t *testing.T) {
	page := readFile(t, eventsPage)
	for _, topic := range []string{event.TopicRequests, event.TopicGrants, event.TopicDeadLetters} {
		for _, header := range orderedMembers(t, schema.Headers(topic)) {
			if !strings.Contains(page, "`"+header+"`") {
				t.Errorf("the page does not name the header %s", header)
			}
		}
	}
	source := readFile(t, "../../pkg/event/reason.go")
	reasons := regexp.MustCompile(`Reason = "([a-z_]+)"`).FindAllStringSubmatch(source, -1)
	if len(reasons) < 8 {
		t.Errorf("%d reasons: that can't be all", len(reasons))
	}
	for _, m := range reasons {
		if !strings.Contains(page, "`"+m[1]+"`") || !strings.Contains(string(schema.Headers(event.TopicDeadLetters)), `"`+m[1]+`"`) {
			t.Errorf("the page or the schema does not name the reason %s", m[1])
		}
	}
}

// orderedMembers are the properties of a schema in the order in which they stand there.
func orderedMembers(t *testing.T, text []byte) []string {
	t.Helper()
	var s struct{ Properties json.RawMessage }
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	var names []string
	d := json.NewDecoder(bytes.NewReader(s.Properties))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		names = append(names, name.(string))
	}
	return names
}

// TestChangelogFlagsRecords: each version of the golden records has an entry of the changelog that is marked as such.
func TestChangelogFlagsRecords(t *testing.T) {
	entries := strings.Split(readFile(t, "../../CHANGELOG.md"), "\n- ")
	for _, g := range readGoldens(t) {
		version, _, _ := strings.Cut(g.name, "/")
		if !slices.ContainsFunc(entries, func(e string) bool {
			return strings.HasPrefix(e, "**[records]**") && strings.Contains(e, "`"+version+"`")
		}) {
			t.Fatalf("no entry **[records]** of CHANGELOG.md names the golden records `%s`", version)
		}
	}
}
