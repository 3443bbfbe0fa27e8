package audit

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

// Each way in which something can be wrong has a sentence that names what and where.
func TestDifferences(t *testing.T) {
	for _, c := range []struct {
		name string
		hand func(*world)
		want string // "" = nothing is wrong
	}{
		{"all is well", func(*world) {}, ""},
		{"the same record twice in the journal", func(w *world) { w.journal = append(w.journal, w.journal[1]); w.ledger.next++ }, ""},
		{"claims that came since", func(w *world) { w.claim(25*time.Hour, "tea", "eve") }, ""},
		{"a person of a claim that came since", func(w *world) { w.redis.people[window{"tea", ""}]["eve"] = "4:12" }, ""},

		// Journal
		{"a grant is missing", func(w *world) { w.cut(2) }, `journal: the grant of coupon tea, sequence 2, to "bob" (source 0/3) is missing`},
		{"a definition is missing", func(w *world) { w.cut(0) }, `journal: the definition of coupon tea with limit 2 (source 0/0) is missing`},
		{"two in the wrong order", func(w *world) { w.journal[1], w.journal[2] = w.journal[2], w.journal[1] }, `the grant of coupon tea, sequence 1, to "ada" (source 0/1) is missing`},
		{"another sequence", func(w *world) { w.rewrite(2, func(f *fcfs.Fact) { f.Granted.Sequence = 1 }) }, `(source 0/3) is wrong: sequence is 1 and should be 2`},
		{"another person", func(w *world) { w.rewrite(2, func(f *fcfs.Fact) { f.Granted.UserID = "eve" }) }, `user_id is "eve" and should be "bob"`},
		{"another log time", func(w *world) { w.rewrite(2, func(f *fcfs.Fact) { f.LogTime++ }) }, `log_time is 2026-11-22T09:00:02.001Z and should be 2026-11-22T09:00:02.000Z`},
		{"a grant that nobody asked for", func(w *world) {
			w.journal = append(w.journal, w.written(fcfs.Fact{Source: fcfs.Source{Offset: 11}, RequestedAt: 1, LogTime: 1, Granted: &fcfs.GrantFact{CouponID: "tea", UserID: "eve", Sequence: 3, Limit: 3}}, 0))
			w.ledger.next++
			w.ledger.highest = 11
		}, `journal: the grant of coupon tea, sequence 3, to "eve" (source 0/11) is there, and the log does not lead to it`},
		{"a late duplicate that never was", func(w *world) {
			w.journal = append(w.journal, w.written(fcfs.Fact{Source: fcfs.Source{Offset: 4}, RequestedAt: 1, LogTime: 1, Granted: &fcfs.GrantFact{CouponID: "tea", UserID: "cyd", Sequence: 3, Limit: 3}}, 0))
			w.ledger.next++
		}, `the duplicate at journal offset 8 says it comes from offset 4, and the log leads to nothing there`},
		{"other bytes of the same meaning", func(w *world) {
			w.journal[1].Value = bytes.Replace(w.journal[1].Value, []byte(`,"sequence"`), []byte(`, "sequence"`), 1)
		}, `is not written as it must be at journal offset 1: its value is`},
		{"a lost correlation id", func(w *world) { w.journal[1].Headers = w.journal[1].Headers[:len(w.journal[1].Headers)-1] }, `at journal offset 1: its headers are`},
		{"another timestamp", func(w *world) { w.journal[1].Time = w.journal[1].Time.Add(time.Millisecond) }, `its timestamp is 2026-11-22T09:00:00.001Z and should be 2026-11-22T09:00:00Z`},
		{"a record that cannot be read", func(w *world) { w.journal = append(w.journal, event.Record{Topic: event.TopicGrants}); w.ledger.next++ }, `the record at journal offset 8 cannot be read: not_cloudevent`},

		// Redis
		{"no one holds it", func(w *world) { delete(w.redis.people[window{"tea", ""}], "bob") }, `redis: "bob" is missing in coupon tea, sequence 2 (source 0/3)`},
		{"another entry", func(w *world) { w.redis.people[window{"lunch", "2026-11-22"}]["ada"] = "2:7" }, `"ada" has "2:7" in coupon lunch, window 2026-11-22, and should have sequence 1 of source 0/7`},
		{"someone who was refused", func(w *world) { w.redis.people[window{"tea", ""}]["eve"] = "4:4" }, `"eve" has "4:4" in coupon tea, which the log does not lead to`},
		{"an entry that is none", func(w *world) { w.redis.people[window{"tea", ""}]["eve"] = "x" }, `"eve" has "x" in coupon tea`},
		{"a count", func(w *world) { w.redis.hashes["tea"]["granted:"] = "2" }, `coupon tea has granted: 2, and it should be 3`},
		{"the total", func(w *world) { w.redis.hashes["tea"]["total"] = "4" }, `coupon tea has total 4, and it should be 3`},
		{"the limit", func(w *world) { w.redis.hashes["tea"]["limit"] = "2" }, `coupon tea has limit 2, and it should be 3`},
		{"the definition in force", func(w *world) { w.redis.hashes["tea"]["current"] = "0" }, `coupon tea has current 0, and it should be 8`},
		{"an old definition", func(w *world) { delete(w.redis.hashes["tea"], "def:0") }, `coupon tea lacks def:0`},
		{"a field too many", func(w *world) { w.redis.hashes["tea"]["granted:2026-11-22"] = "1" }, `coupon tea has granted:2026-11-22 1, which the log does not lead to`},
		{"a coupon is missing", func(w *world) { w.redis.coupons = []string{"lunch"} }, `partition 0: coupon tea is missing`},
		{"a coupon too many", func(w *world) { w.redis.coupons = append(w.redis.coupons, "milk") }, `coupon milk is there, and the log does not define it`},
		{"no day to drop", func(w *world) { delete(w.redis.retire, "tea:") }, `nothing says that the people of tea: are to be dropped at 2026-11-27T13:00:00.000Z`},
		{"another day to drop", func(w *world) { w.redis.retire["tea:"]++ }, `the people of tea: are to be dropped at 2026-11-27T13:00:00.001Z, and it should be 2026-11-27T13:00:00.000Z`},
		{"a day to drop too many", func(w *world) { w.redis.retire["milk:"] = 5 }, `the people of milk: are to be dropped at 1970-01-01T00:00:00.005Z, and the log does not say so`},
		{"another log", func(w *world) { w.redis.progress.AppendTime++ }, `this is another log`},
		{"the log time", func(w *world) { w.redis.progress.LogTime++ }, `log time is 2026-11-23T09:00:00.001Z and should be 2026-11-23T09:00:00.000Z`},
		{"progress where there is no record", func(w *world) { w.redis.progress.Offset = 15 }, `progress is at offset 15, and the last record up to there has offset 11`},

		{"an outbox in order", func(w *world) { w.redis.outbox = []string{"7:1:1\nfacts", "9:1:1\nfacts"} }, ""},
		{"an element that is none", func(w *world) { w.redis.outbox = []string{"x"} }, `element 0 of the outbox is none`},
		{"an element in the wrong place", func(w *world) { w.redis.outbox = []string{"9:1:1\nfacts", "7:1:1\nfacts"} }, `element 1 of the outbox is of offset 7, after one of offset 9`},
		{"an element of a batch that was not decided", func(w *world) { w.redis.outbox = []string{"12:1:1\nfacts"} }, `element 0 of the outbox is of offset 12, and progress is at 11`},

		// Postgres
		{"a row is missing", func(w *world) { delete(w.ledger.facts, 3) }, `postgres: the grant of coupon tea, sequence 2, to "bob" (source 0/3) is missing`},
		{"a row with another sequence", func(w *world) { w.ledger.alter(3, func(f *fcfs.Fact) { f.Granted.Sequence = 9 }) }, `postgres: the grant of coupon tea, sequence 2, to "bob" (source 0/3) is wrong: sequence is 9 and should be 2`},
		{"a row with another window", func(w *world) { w.ledger.alter(7, func(f *fcfs.Fact) { f.Granted.Window = "" }) }, `the grant of coupon lunch, window 2026-11-22, sequence 1, to "ada" (source 0/7) is wrong: window is "" and should be "2026-11-22"`},
		{"a row too many", func(w *world) {
			w.ledger.facts[4] = fcfs.Fact{Source: fcfs.Source{Offset: 4}, Granted: &fcfs.GrantFact{CouponID: "tea", UserID: "cyd", Sequence: 3}}
			w.ledger.grantIDs[4] = fcfs.GrantID(requestsTopic, fcfs.Source{Offset: 4})
		}, `postgres: the grant of coupon tea, sequence 3, to "cyd" (source 0/4) is there, and the log does not lead to it`},
		{"another grant id", func(w *world) { w.ledger.grantIDs[3] = "x" }, `(source 0/3) has the grant id x, and it should be`},
		{"a definition's row", func(w *world) { w.ledger.alter(8, func(f *fcfs.Fact) { f.Defined.ClosesAt = 0 }) }, `the definition of coupon tea with limit 3 (source 0/8) is wrong: closes_at is absent and should be 2026-11-26T13:00:00.000Z`},
		{"no offset row", func(w *world) { w.ledger.known = false }, `ledger_offsets has no row`},
		{"an offset beyond the journal", func(w *world) { w.ledger.next = 99 }, `ledger_offsets is at journal offset 99, and the journal ends at 8`},
		{"another highest source", func(w *world) { w.ledger.highest = 9 }, `ledger_offsets has the highest source 9 at journal offset 8, and it should be 10`},

		// Dead letters
		{"no dead letter", func(w *world) { w.letters = nil }, `dead letters: the request at 0/5 (not_cloudevent) is not among them`},
		{"the same one twice", func(w *world) { w.letters = append(w.letters, w.letters[0]) }, ""},
		{"a good request among them", func(w *world) {
			w.letters = append(w.letters, deadLetter{topic: requestsTopic, offset: 3, reason: event.ReasonInvalid})
		}, `the request at 0/3 is one (invalid), and it is a good one`},
		{"for another reason", func(w *world) { w.letters[0].reason = event.ReasonInvalid }, `the request at 0/5 is one for invalid, and it should be for not_cloudevent`},
		{"an alarm of the ledger", func(w *world) {
			w.letters = append(w.letters, deadLetter{topic: event.TopicGrants, offset: 3, reason: event.ReasonUniqueViolation})
		}, `there is one of topic "coupon.grants", partition 0, offset 3: unique_violation`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.hand(w)
			checkSentence(t, w.look().differences, c.want)
		})
	}
}

func checkSentence(t *testing.T, got []Difference, want string) {
	t.Helper()
	var all []string
	for _, d := range got {
		all = append(all, d.Place+": "+d.Sentence)
	}
	text := strings.Join(all, "\n")
	if (want == "") != (text == "") || !strings.Contains(text, want) {
		t.Errorf("got\n%s\nwant %q", text, want)
	}
}

func (w *world) cut(i int) {
	w.journal = slices.Delete(slices.Clone(w.journal), i, i+1)
	w.ledger.next--
}

// rewrite makes another record at a place of the journal.
func (w *world) rewrite(i int, change func(*fcfs.Fact)) {
	e, err := event.Decode(w.journal[i])
	if err != nil {
		w.t.Fatal(err)
	}
	f, _ := factOf(e)
	change(&f)
	w.journal[i] = w.written(f, int64(i))
}

func (s ledgerState) alter(offset int64, change func(*fcfs.Fact)) {
	f := s.facts[offset]
	if f.Granted != nil {
		g := *f.Granted
		f.Granted = &g
	}
	if f.Defined != nil {
		d := *f.Defined
		f.Defined = &d
	}
	change(&f)
	s.facts[offset] = f
}

// What is not there yet is waited for, and no difference.
func TestWaits(t *testing.T) {
	for _, c := range []struct {
		name string
		hand func(*world)
		want string
	}{
		{"nothing", func(*world) {}, ""},
		{"the outbox has it", func(w *world) {
			w.journal = w.journal[:7]
			w.ledger.next = 7
			w.redis.outbox = []string{"11:1:1\nfacts"}
		}, "the issuer has 1 decided facts that are not in the journal"},
		{"the ledger is behind", func(w *world) { w.ledger.next = 3 }, "the ledger is at journal offset 3, and the journal goes up to 7"},
		{"an outbox that is acknowledged already", func(w *world) { w.redis.outbox = []string{"11:1:1\nfacts"} }, ""},
	} {
		w := newWorld(t)
		c.hand(w)
		if got := w.look().waits; got != c.want {
			t.Errorf("%s: waits for %q, want %q", c.name, got, c.want)
		}
	}
}

// Where the log's start is gone, the journal stands in for it, and the rest is decided as before.
func TestTruncatedLog(t *testing.T) {
	for _, start := range []int64{1, 3, 5, 8, 10, 11, 12} {
		w := newWorld(t)
		w.start = start
		checkSentence(t, w.look().differences, "")

		w = newWorld(t)
		w.start = start
		w.redis.people[window{"tea", ""}]["bob"] = "1:3"
		checkSentence(t, w.look().differences, `"bob" has "1:3" in coupon tea, and should have sequence 2`)
	}
	t.Run("a journal that does not follow", func(t *testing.T) {
		w := newWorld(t)
		w.start = 8
		w.cut(1)
		checkSentence(t, w.look().differences, `(source 0/3) does not follow from the journal before it`)
	})
}

func TestAnswers(t *testing.T) {
	w := newWorld(t)
	all := []facts{w.look().oracle.facts}
	told := func(user, outcome string, sequence int64) crowd.Record {
		return crowd.Record{CouponID: "tea", UserID: user, Outcome: outcome, Sequence: sequence}
	}
	wrongID := told("bob", "granted", 2)
	wrongID.GrantID = "x"
	for _, c := range []struct {
		answer crowd.Record
		want   string
	}{
		{told("bob", "granted", 2), ""},
		{told("bob", "", 0), ""},
		{told("eve", "", 0), ""},
		{told("eve", "sold_out", 0), ""},
		{told("bob", "already_issued", 0), ""},
		{told("bob", "granted", 1), `"bob" of coupon tea, sequence 1 was told granted, and has sequence 2 (source 0/3)`},
		{told("eve", "granted", 1), `"eve" of coupon tea, sequence 1 was told granted, and has nothing`},
		{told("bob", "sold_out", 0), `"bob" of coupon tea was told sold_out, and has sequence 2 (source 0/3)`},
		{told("eve", "already_issued", 0), `"eve" of coupon tea was told already_issued, and has nothing`},
		{wrongID, `was told the grant id x, and has 00000000-0003-8000`},
	} {
		checkSentence(t, compareAnswers(requestsTopic, all, []crowd.Record{c.answer}), c.want)
	}
}

func TestReadAnswers(t *testing.T) {
	got, err := ReadAnswers(strings.NewReader(`{"coupon_id":"tea","user_id":"ada","outcome":"granted","sequence":1,"took_ms":1.5}` + "\n\n"))
	if err != nil || len(got) != 1 || got[0].UserID != "ada" || got[0].Took != crowd.Duration(1500*time.Microsecond) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := ReadAnswers(strings.NewReader("{}\nnonsense\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %v, want the line named", err)
	}
}

func TestReport_Write(t *testing.T) {
	w := newWorld(t)
	delete(w.ledger.facts, 3)
	l := w.look()
	r := Report{Compared: l.compared, Differences: l.differences}
	r.sort()
	var out strings.Builder
	r.Write(&out)
	want := `postgres: the grant of coupon tea, sequence 2, to "bob" (source 0/3) is missing
audit: 1 difference; the log leads to 3 definitions and 5 grants; compared 0 requests in 1 partition, 8 journal records (0 duplicates), 5 people in Redis, 7 rows in Postgres, 0 dead letters
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// What differs once may have been on its way; what differs twice in the same way is wrong.
func TestConclude(t *testing.T) {
	differs := func(sentences ...string) *look {
		l := &look{}
		for _, s := range sentences {
			l.differences = append(l.differences, Difference{Sentence: s})
		}
		return l
	}
	waits := &look{waits: "the ledger"}
	for _, c := range []struct {
		name        string
		before, now *look
		late        bool
		enough      bool
		differences int
	}{
		{"nothing differs", nil, differs(), false, true, 0},
		{"something differs once", nil, differs("a"), false, false, 1},
		{"the same again", differs("a"), differs("a"), false, true, 1},
		{"something else", differs("a"), differs("b"), false, false, 0},
		{"the same and something else", differs("a"), differs("a", "b"), false, true, 1},
		{"gone again", differs("a"), differs(), false, true, 0},
		{"something is waited for", differs("a"), waits, false, false, 0},
		{"waited for too long", nil, waits, true, true, 0},
		{"late, and seen once only", nil, differs("a"), true, true, 1},
		{"late, and never twice", differs("a"), differs("b"), true, true, 0},
	} {
		got, enough := c.now.conclude(c.before, c.late)
		if enough != c.enough || len(got.differences) != c.differences {
			t.Errorf("%s: enough %v with %d differences, want %v with %d", c.name, enough, len(got.differences), c.enough, c.differences)
		}
	}
}
