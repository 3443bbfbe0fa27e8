package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

// What each person was told is held against what the log decided about that person's claims.
func TestAnswers(t *testing.T) {
	w := newWorld(t)
	told := func(couponID, user, outcome string) crowd.Record {
		return crowd.Record{CouponID: couponID, UserID: user, Outcome: outcome}
	}
	byLog := func(r crowd.Record) crowd.Record {
		r.ClaimID = "c"
		return r
	}
	granted := func(couponID, user, window string, sequence, source int64) crowd.Record {
		r := byLog(told(couponID, user, "granted"))
		r.Window, r.Sequence, r.GrantID = window, sequence, fcfs.GrantID(w.requests, fcfs.Source{Offset: source})
		return r
	}
	inPassing := granted("tea", "bob", "", 2, 3)
	inPassing.GrantID = ""
	wrongInPassing := inPassing
	wrongInPassing.Sequence = 1
	foreign := granted("tea", "bob", "", 2, 3)
	foreign.GrantID = fcfs.GrantID("other", fcfs.Source{Offset: 3})
	broken := granted("tea", "bob", "", 2, 3)
	broken.Broken = []string{"was told granted with sequence 2, then sold_out"}

	for _, c := range []struct {
		answer crowd.Record
		want   string // "" = nothing is wrong
	}{
		{told("tea", "bob", ""), ""},
		{told("tea", "eve", ""), ""},
		{told("tea", "bob", "retired"), ""},
		{granted("tea", "bob", "", 2, 3), ""},
		{granted("tea", "cyd", "", 3, 9), ""},
		{granted("bun", "ada", "", 1, 11), ""},
		{granted("lunch", "ada", "2026-11-22", 1, 7), ""},
		{inPassing, ""},
		{granted("tea", "bob", "", 1, 3), `"bob" of coupon tea, sequence 1 was told granted, and has sequence 2 (source 0/3)`},
		{wrongInPassing, `"bob" of coupon tea, sequence 1 was told granted, and has sequence 2 (source 0/3)`},
		{granted("lunch", "ada", "2026-11-24", 1, 7), `"ada" of coupon lunch, window 2026-11-24, sequence 1 was told granted, and has window 2026-11-22, sequence 1 (source 0/7)`},
		{granted("tea", "eve", "", 4, 14), `"eve" of coupon tea, sequence 4 was told granted, and has nothing`},
		{granted("tea", "cyd", "", 3, 4), `"cyd" of coupon tea, sequence 3 was told the grant id 00000000-0004-8000-`},
		{foreign, "was told the grant id 00000000-0003-8000-"},
		{broken, `"bob" of coupon tea, sequence 2 was told granted with sequence 2, then sold_out`},

		{byLog(told("tea", "eve", "sold_out")), ""},
		{byLog(told("tea", "cyd", "sold_out")), ""}, // the first claim, before the limit rose
		{byLog(told("tea", "ada", "already_issued")), ""},
		{byLog(told("milk", "dan", "unknown_coupon")), ""},
		{byLog(told("tea", "bob", "sold_out")), `"bob" of coupon tea was told sold_out about a claim, and the log decided granted, sequence 2 (source 0/3)`},
		{byLog(told("tea", "eve", "closed")), `was told closed about a claim, and the log decided sold_out`},
		{byLog(told("tea", "zoe", "sold_out")), `"zoe" of coupon tea was told sold_out about a claim, and the log decided none of theirs`},
		{byLog(told("tea", "bob", "already_issued")), `was told already_issued about a claim, and the log decided granted, sequence 2 (source 0/3)`},
		{byLog(told("tea", "ada", "mislaid")), `was told mislaid about a claim, and the log decided already_issued and granted, sequence 1 (source 0/1)`},

		{told("tea", "eve", "sold_out"), ""},
		{told("tea", "zoe", "sold_out"), ""},
		{told("tea", "cyd", "sold_out"), ""},
		{told("lunch", "zoe", "sold_out"), ""},
		{told("lunch", "dan", "sold_out"), ""}, // of the first day
		{told("tea", "bob", "already_issued"), ""},
		{told("tea", "zoe", "closed"), ""},
		{told("milk", "zoe", "unknown_coupon"), ""},
		{told("tea", "bob", "sold_out"), `"bob" of coupon tea was told sold_out at the door, and has sequence 2 (source 0/3): it was not sold out before that`},
		{told("bun", "zoe", "sold_out"), `"zoe" of coupon bun was told sold_out at the door, and the coupon never was`},
		{told("bun", "ada", "sold_out"), `"ada" of coupon bun was told sold_out at the door, and has sequence 1 (source 0/11): it was not sold out`},
		{told("tea", "eve", "already_issued"), `"eve" of coupon tea was told already_issued, and has nothing`},
		{told("tea", "zoe", "not_open"), `was told not_open at the door, and the coupon never had a time to open`},
		{told("lunch", "zoe", "closed"), `was told closed at the door, and the coupon never had a time to close`},
		{told("tea", "zoe", "mislaid"), `was told mislaid, which is no outcome of a claim`},
	} {
		t.Run(fmt.Sprintf("%s %s %s %s", c.answer.CouponID, c.answer.UserID, c.answer.Outcome, c.answer.ClaimID), func(t *testing.T) {
			w.t, w.answers = t, KnownAnswers([]crowd.Record{c.answer})
			r, err := w.audit()
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				check(t, r, "")
			} else {
				check(t, r, Contradicted, c.want)
			}
			if r.Compared.Answers != 1 {
				t.Errorf("compared %d answers", r.Compared.Answers)
			}
		})
	}

	// Where the claim may be gone with the log's start, nothing is said about it.
	w.t = t
	w.servers.Truncate(t, w.requests, 0, 5)
	w.answers = KnownAnswers([]crowd.Record{byLog(told("tea", "zoe", "sold_out")), granted("tea", "bob", "", 2, 3), told("tea", "cyd", "sold_out")})
	r, err := w.audit()
	if err != nil {
		t.Fatal(err)
	}
	check(t, r, "")
	w.answers = KnownAnswers([]crowd.Record{granted("tea", "bob", "", 1, 3)})
	if r, err = w.audit(); err != nil {
		t.Fatal(err)
	}
	check(t, r, Contradicted, "was told granted, and has sequence 2 (source 0/3)")
}

// A coupon is also sold out by a limit that falls, and what was told at the door then is justified.
func TestAnswers_LimitFalls(t *testing.T) {
	w := start(t)
	pie := event.CouponDefined{CouponID: "pie", Limit: 5, Window: "none", TimeZone: "UTC"}
	w.define(0, pie)
	w.claim(0, "pie", "ada")
	w.settle()
	w.answers = KnownAnswers([]crowd.Record{{CouponID: "pie", UserID: "eve", Outcome: "sold_out"}})
	r, err := w.audit()
	if err != nil {
		t.Fatal(err)
	}
	check(t, r, Contradicted, `"eve" of coupon pie was told sold_out at the door, and the coupon never was`)
	pie.Limit = 1
	w.define(time.Second, pie)
	w.publish(w.requests, w.log[2])
	w.timeout = time.Minute
	stop := w.services(nil)
	defer stop()
	if r, err = w.audit(); err != nil {
		t.Fatal(err)
	}
	check(t, r, "")
}

func TestOpenAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "answers.ndjson")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"coupon_id":"tea","user_id":"ada","outcome":"granted","sequence":1,"took_ms":1.5}` + "\n\n" + `{"coupon_id":"bun"}`)
	got, err := OpenAnswers([]string{path, path})
	if err != nil || len(got.coupons) != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	people := 0
	if err := got.each(func(crowd.Record) error { people++; return nil }); err != nil || people != 4 {
		t.Errorf("read %d, %v", people, err)
	}
	write("{}\nnonsense\n")
	if _, err := OpenAnswers([]string{path}); err == nil || !strings.Contains(err.Error(), path+": line 2") {
		t.Errorf("got %v, want file and line named", err)
	}
	write("{}\n\n" + strings.Repeat(" ", 1<<20) + "{}\n")
	if _, err := OpenAnswers([]string{path}); err == nil || !strings.Contains(err.Error(), path+": line 3: ") {
		t.Errorf("got %v of a line that is too long, want file and line named", err)
	}
	if _, err := OpenAnswers([]string{t.TempDir()}); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("got %v of a folder", err)
	}
}

// Whatever is in such a file, it is read or the error names file and line.
func FuzzOpenAnswers(f *testing.F) {
	f.Add([]byte(`{"coupon_id":"tea","user_id":"ada","outcome":"granted","sequence":1,"asked_at":"2026-11-22T10:00:00Z","took_ms":1.5,"broken":["x"]}` + "\n\n{}"))
	f.Add([]byte(`{"took_ms":"soon"}`))
	f.Add([]byte("{}\r\nnull\n[]"))
	f.Add(bytes.Repeat([]byte(" "), 1<<20+1))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "answers.ndjson")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenAnswers([]string{path}); err != nil && !strings.HasPrefix(err.Error(), path+": line ") {
			t.Errorf("%.200q: %v", text, err)
		}
	})
}
