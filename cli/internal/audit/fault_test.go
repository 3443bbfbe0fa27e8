package audit

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/event"
)

// fault is something that is put in by hand.
type fault struct {
	name string
	hand func(*world)
	kind Kind
	want []string // what must be said, a sentence each, and nothing else may be; none: nothing is wrong
}

// Each way in which something can be wrong has a sentence that names what and where. Each hand goes into the real stores
// of one pipeline, and is taken out again.
func TestFaults(t *testing.T) {
	w := newWorld(t)
	w.try(slices.Concat(journalFaults, redisFaults, postgresFaults, archiveFaults, letterFaults)...)
}

// try puts in one fault after the other, each of them alone.
func (w *world) try(faults ...fault) {
	t := w.t
	defer func() { w.t = t }()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			w.t = t
			defer w.mend()
			f.hand(w)
			r, err := w.audit()
			if err != nil {
				t.Fatal(err)
			}
			check(t, r, f.kind, f.want...)
		})
	}
}

// check compares what was found with the sentences that must be said, or their beginnings.
func check(t *testing.T, r Report, kind Kind, want ...string) {
	t.Helper()
	said := 0
	for _, d := range r.Differences {
		sentence := d.String()
		i := slices.IndexFunc(want, func(s string) bool { return strings.Contains(sentence, s) })
		if i < 0 {
			t.Errorf("it said %q (%s)", sentence, d.Kind)
			continue
		}
		if i == 0 && d.Kind != kind {
			t.Errorf("%q is of kind %s, want %s", sentence, d.Kind, kind)
		}
		said |= 1 << i
	}
	for i, s := range want {
		if said&(1<<i) == 0 {
			t.Errorf("it did not say %q", s)
		}
	}
	if r.OK != (len(want) == 0) {
		t.Errorf("ok is %v", r.OK)
	}
}

const (
	bob      = `the grant of coupon tea, sequence 2, to "bob" (source 0/3)`
	adaLunch = `the grant of coupon lunch, window 2026-11-22, sequence 1, to "ada" (source 0/7)`
)

func rewritten(i int, change func(*fcfs.Fact)) func(*world) {
	return func(w *world) { w.rewritten(i, change) }
}

func journalWith(change func(*world, []event.Message) []event.Message) func(*world) {
	return func(w *world) { w.journalOf(func(j []event.Message) []event.Message { return change(w, j) }) }
}

// touched is a journal in which a record has other bytes.
func touched(i int, change func(*event.Message)) func(*world) {
	return journalWith(func(_ *world, j []event.Message) []event.Message {
		change(&j[i])
		return j
	})
}

func appended(more func(w *world) event.Message) func(*world) {
	return journalWith(func(w *world, j []event.Message) []event.Message { return append(j, more(w)) })
}

var journalFaults = []fault{
	{"all is well", func(*world) {}, "", nil},
	{"the same record twice", journalWith(func(_ *world, j []event.Message) []event.Message { return append(j, j[1]) }), "", nil},
	{"the last record twice", journalWith(func(_ *world, j []event.Message) []event.Message { return append(j, j[len(j)-1]) }), "", nil},
	{"a late batch of a former owner", journalWith(func(_ *world, j []event.Message) []event.Message { return append(j, j[2:7]...) }), "", nil},
	{"a type of a later version", journalWith(func(_ *world, j []event.Message) []event.Message {
		return slices.Insert(j, 2, later(event.Message{}))
	}), "", nil},
	{"a type of a later version, of a request that leads to nothing else", journalWith(func(w *world, j []event.Message) []event.Message {
		return slices.Insert(j, 2, later(w.grant(2, "tea", "ada", 2)))
	}), "", nil},

	{"a grant is missing", journalWith(func(_ *world, j []event.Message) []event.Message { return slices.Delete(j, 2, 3) }), Missing,
		[]string{"journal: " + bob + " is missing: the log grants it (under-issue)"}},
	{"a definition is missing", journalWith(func(_ *world, j []event.Message) []event.Message { return slices.Delete(j, 3, 4) }), Missing,
		[]string{`journal: the definition of coupon lunch with limit 1 (source 0/6) is missing`}},
	{"its end is missing", journalWith(func(_ *world, j []event.Message) []event.Message { return j[:9] }), Missing,
		[]string{`journal: the grant of coupon lunch, window 2026-11-24, sequence 1, to "dan" (source 0/12) is missing`, "the issuer has decided facts that are not in the journal"}},
	{"it is gone", journalWith(func(*world, []event.Message) []event.Message { return nil }), Missing,
		[]string{"is missing", "the issuer has decided facts that are not in the journal"}},
	{"a type of a later version in a grant's place", journalWith(func(_ *world, j []event.Message) []event.Message {
		j[2] = later(j[2])
		return j
	}), Missing, []string{"journal: " + bob + " is missing"}},
	{"out of log order", journalWith(func(_ *world, j []event.Message) []event.Message {
		j[1], j[2] = j[2], j[1]
		return j
	}), OutOfOrder, []string{
		`journal: partition 0: the record at journal offset 2 (source 0/1) stands after one of source 0/3: out of log order, so every consumer drops it`,
		`journal: the grant of coupon tea, sequence 1, to "ada" (source 0/1) is missing`,
	}},
	{"another sequence", rewritten(2, func(f *fcfs.Fact) { f.Granted.Sequence = 1 }), Wrong, []string{"journal: " + bob + " is wrong: sequence is 1 and should be 2"}},
	{"another person", rewritten(2, func(f *fcfs.Fact) { f.Granted.UserID = "eve" }), Wrong, []string{`user_id is "eve" and should be "bob"`}},
	{"another limit", rewritten(2, func(f *fcfs.Fact) { f.Granted.Limit = 3 }), Wrong, []string{`limit is 3 and should be 2`}},
	{"another window", rewritten(4, func(f *fcfs.Fact) { f.Granted.Window = "2026-11-23" }), Wrong, []string{`window is "2026-11-23" and should be "2026-11-22"`}},
	{"another log time", rewritten(2, func(f *fcfs.Fact) { f.LogTime++ }), Wrong, []string{`log_time is 2026-11-22T09:00:02.001Z and should be 2026-11-22T09:00:02.000Z`}},
	{"another definition", rewritten(5, func(f *fcfs.Fact) { f.Defined.ClosesAt = 0 }), Wrong,
		[]string{`the definition of coupon tea with limit 3 (source 0/8) is wrong: closes_at is absent and should be 2026-11-26T13:00:00.000Z`}},
	{"a definition in a grant's place", journalWith(func(w *world, j []event.Message) []event.Message {
		j[2] = w.written(fcfs.Fact{Source: fcfs.Source{Offset: 3}, RequestedAt: 1, LogTime: 1, Defined: &fcfs.Definition{CouponID: "tea", Limit: 9, Window: "none", TimeZone: "UTC", Rules: 1}})
		return j
	}), Wrong, []string{bob + " is wrong: requested_at is 1970-01-01T00:00:00.001Z and should be 2026-11-22T09:00:02.000Z, log_time is 1970-01-01T00:00:00.001Z and should be 2026-11-22T09:00:02.000Z, it is of another kind"}},
	{"one more than the limit", journalWith(func(w *world, j []event.Message) []event.Message { return append(j, w.grant(14, "tea", "eve", 4)) }), OverIssue,
		[]string{`journal: the grant of coupon tea, sequence 4, to "eve" (source 0/14) is there, and the log does not lead to it: that request is sold_out, as all 3 were given out before it (over-issue)`}},
	{"one in the middle", journalWith(func(w *world, j []event.Message) []event.Message {
		return slices.Insert(j, 3, w.grant(4, "tea", "cyd", 3))
	}), OverIssue, []string{`(source 0/4) is there, and the log does not lead to it: that request is sold_out, as all 2 were given out before it (over-issue)`}},
	{"the same person twice", journalWith(func(w *world, j []event.Message) []event.Message {
		return slices.Insert(j, 2, w.grant(2, "tea", "ada", 2))
	}), Twice, []string{`(source 0/2) is there, and the log does not lead to it: that request is already_issued, as the person holds sequence 1 of source 0/1 (the same person twice)`}},
	{"a coupon that is none", appended(func(w *world) event.Message { return w.grant(13, "milk", "dan", 1) }), Unfounded, []string{"that request is unknown_coupon"}},
	{"a request that nobody made", appended(func(w *world) event.Message { return w.grant(99, "tea", "eve", 4) }), Unfounded,
		[]string{"journal: there is a record that comes from source 0/99, and the log ends at offset 15"}},
	{"of a request that cannot be read", journalWith(func(w *world, j []event.Message) []event.Message {
		return slices.Insert(j, 3, w.grant(5, "tea", "eve", 3))
	}), Unfounded, []string{"that request is invalid"}},
	{"a duplicate of nothing", appended(func(w *world) event.Message { return w.grant(4, "tea", "cyd", 3) }), Unfounded,
		[]string{`the record at journal offset 10 (source 0/4) is a duplicate of nothing: it stands after one of source 0/12, and the log does not lead to it`}},
	{"a duplicate that says something else", appended(func(w *world) event.Message { return w.grant(3, "tea", "eve", 2) }), Wrong,
		[]string{`the record at journal offset 10 (source 0/3) is a duplicate of the one at journal offset 2, and not the same: its value is`}},
	{"other bytes of the same meaning", touched(1, func(m *event.Message) {
		m.Value = bytes.Replace(m.Value, []byte(`,"sequence"`), []byte(`, "sequence"`), 1)
	}), Wrong,
		[]string{"is not written as it must be at journal offset 1: its value is"}},
	{"a lost correlation id", touched(1, func(m *event.Message) { m.Headers = m.Headers[:len(m.Headers)-1] }), Wrong,
		[]string{"is not written as it must be at journal offset 1: its headers are"}},
	{"another timestamp", touched(1, func(m *event.Message) { m.Time = m.Time.Add(time.Millisecond) }), Wrong,
		[]string{"its timestamp is 2026-11-22T09:00:00.001Z and should be 2026-11-22T09:00:00Z"}},
	{"a record that cannot be read", appended(func(*world) event.Message { return event.Message{Key: []byte("tea"), Value: []byte("x")} }), Wrong,
		[]string{"journal: partition 0: the record at journal offset 10 cannot be read: not_cloudevent"}},
	{"a grant that cannot be read", touched(2, func(m *event.Message) { m.Value = []byte("{}") }), Wrong,
		[]string{"journal: partition 0: the record at journal offset 2 cannot be read: invalid"}},
	{"a record of another partition", appended(func(w *world) event.Message {
		return w.written(fcfs.Fact{Source: fcfs.Source{Partition: 1, Offset: 3}, RequestedAt: 1, LogTime: 1, Granted: &fcfs.GrantFact{CouponID: "tea", UserID: "eve", Sequence: 3, Limit: 3}})
	}), Unfounded, []string{"the record at journal offset 10 (firstcome.coupon.granted) does not come from a request of this partition"}},
}

// later is a record of a type that comes with a later version.
func later(m event.Message) event.Message {
	if m.Headers == nil {
		m.Headers = []event.Header{{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte("1")}, {Key: "ce_source", Value: []byte("/x")},
			{Key: "ce_type"}, {Key: "content-type", Value: []byte("application/json")}}
	}
	m.Headers = slices.Clone(m.Headers)
	for i := range m.Headers {
		if m.Headers[i].Key == "ce_type" {
			m.Headers[i].Value = []byte("firstcome.coupon.returned")
		}
	}
	m.Value = []byte(`{"and":"more"}`)
	return m
}

func redisDo(args func(k redislayout.Keys) []any) func(*world) {
	return func(w *world) { w.do(args(w.keys)...) }
}

var redisFaults = []fault{
	{"a person is missing", redisDo(func(k redislayout.Keys) []any { return []any{"HDEL", k.Granted("tea", ""), "bob"} }), Missing,
		[]string{`redis: "bob" is missing in coupon tea, sequence 2 (source 0/3)`}},
	{"a window is missing", redisDo(func(k redislayout.Keys) []any { return []any{"DEL", k.Granted("lunch", "2026-11-24")} }), Missing,
		[]string{`redis: "dan" is missing in coupon lunch, window 2026-11-24, sequence 1 (source 0/12)`}},
	{"another entry", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Granted("tea", ""), "bob", "1:3"} }), Wrong,
		[]string{`redis: "bob" has "1:3" in coupon tea, and should have sequence 2 of source 0/3`}},
	{"an entry of a later claim", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Granted("tea", ""), "bob", "2:99"} }), Wrong,
		[]string{`redis: "bob" has "2:99" in coupon tea, and should have sequence 2 of source 0/3`}},
	{"someone who was refused", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Granted("tea", ""), "eve", "4:14"} }), Unfounded,
		[]string{`redis: "eve" has "4:14" in coupon tea, which the log does not lead to`}},
	{"someone who never asked", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Granted("tea", ""), "zoe", "4:99"} }), Unfounded,
		[]string{`redis: "zoe" has "4:99" in coupon tea, which comes from source 0/99, and the log ends at offset 15`}},
	{"an entry that is none", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Granted("tea", ""), "eve", "x"} }), Unfounded,
		[]string{`redis: "eve" has "x" in coupon tea, which the log does not lead to`}},
	{"people of a retired coupon", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Granted("bun", ""), "ada", "1:11"} }), Unfounded,
		[]string{`redis: "ada" has "1:11" in coupon bun, which the log does not lead to`}},
	{"people of a retired day", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Granted("lunch", "2026-11-22"), "ada", "1:7"} }), Unfounded,
		[]string{`granted:lunch:2026-11-22" belongs to nothing`}},
	{"a count", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Coupon("tea"), "granted:", 2} }), Wrong, []string{`redis: partition 0: coupon tea has granted: 2, and it should be 3`}},
	{"the total", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Coupon("tea"), "total", 4} }), Wrong, []string{`coupon tea has total 4, and it should be 3`}},
	{"the limit", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Coupon("tea"), "limit", 2} }), Wrong, []string{`coupon tea has limit 2, and it should be 3`}},
	{"the definition in force", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Coupon("tea"), "current", 0} }), Wrong, []string{`coupon tea has current 0, and it should be 8`}},
	{"an old definition", redisDo(func(k redislayout.Keys) []any { return []any{"HDEL", k.Coupon("tea"), "def:0"} }), Missing, []string{`coupon tea lacks def:0`}},
	{"a field too many", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Coupon("tea"), "granted:2026-11-22", 1} }), Unfounded,
		[]string{`coupon tea has granted:2026-11-22 1, which the log does not lead to`}},
	{"a coupon is missing", redisDo(func(k redislayout.Keys) []any { return []any{"ZREM", k.Coupons(), "tea"} }), Missing,
		[]string{`redis: partition 0: coupon tea is missing`, `coupon:tea" belongs to nothing`}},
	{"a coupon too many", redisDo(func(k redislayout.Keys) []any { return []any{"ZADD", k.Coupons(), 0, "milk"} }), Unfounded, []string{`coupon milk is there, and the log does not define it`}},
	{"no day to drop", redisDo(func(k redislayout.Keys) []any { return []any{"ZREM", k.Retire(), "tea:"} }), Missing,
		[]string{`nothing says that the people of tea: are to be dropped at 2026-11-27T13:00:00.000Z`}},
	{"another day to drop", redisDo(func(k redislayout.Keys) []any { return []any{"ZINCRBY", k.Retire(), 1, "tea:"} }), Wrong,
		[]string{`the people of tea: are to be dropped at 2026-11-27T13:00:00.001Z, and it should be 2026-11-27T13:00:00.000Z`}},
	{"a day to drop too many", redisDo(func(k redislayout.Keys) []any { return []any{"ZADD", k.Retire(), 5, "milk:"} }), Unfounded,
		[]string{`the people of milk: are to be dropped at 1970-01-01T00:00:00.005Z, and the log does not say so`}},
	{"a key of a refused claim", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Granted("milk", ""), "dan", "1:13"} }), Unfounded, []string{`granted:milk:" belongs to nothing`}},
	{"a key of another partition", func(w *world) { w.do("SET", redislayout.New(w.servers.RedisPrefix, 7).Progress(), "1:1:1") }, Unfounded, []string{`progress" belongs to nothing`}},

	{"another log", progress(14, -1, 0), Wrong, []string{`this is another log`}},
	{"another log time", progress(14, 0, 1), Wrong, []string{`log time is 2026-11-23T16:00:00.001Z and should be 2026-11-23T16:00:00.000Z`}},
	{"progress beyond the log", progress(20, 0, 0), Wrong,
		[]string{`progress is at offset 20, and the log ends at 15: this is another log`, `progress is at offset 20, and the last record up to there has offset 14`}},
	{"progress beyond the log, with grants of there", func(w *world) {
		journalWith(func(w *world, j []event.Message) []event.Message { return append(j, w.grant(17, "tea", "eve", 4)) })(w)
		w.row(17, "tea", "eve", "", 4)
		progress(20, 0, 0)(w)
	}, Unfounded, []string{
		`journal: the grant of coupon tea, sequence 4, to "eve" (source 0/17) is there, and the log does not lead to it: nobody asked there`,
		`postgres: the grant of coupon tea, sequence 4, to "eve" (source 0/17) is there, and the log does not lead to it: nobody asked there`,
		"progress is at offset 20", "grants has a row of coupon tea that comes from source 0/17, and the log ends", "there is a record that comes from source 0/17, and the log ends at offset 15",
	}},
	{"progress that is behind", progress(13, 0, 0), Behind, []string{`requests: partition 0: after 300ms the issuer has decided up to offset 13, and the log goes up to 14`}},
	{"emptied", (*world).flush, Behind, []string{`requests: partition 0: after 300ms Redis has no progress, and the log goes up to offset 14`}},

	{"an outbox in order", outbox("13:1:1\nfacts", "14:1:1\nfacts"), "", nil},
	{"an element that is none", outbox("x"), Wrong, []string{`element 0 of the outbox is none`}},
	{"an element in the wrong place", outbox("14:1:1\nfacts", "13:1:1\nfacts"), Wrong, []string{`element 1 of the outbox is of offset 13, after one of offset 14`}},
	{"an element that was not decided", outbox("15:1:1\nfacts"), Wrong, []string{`element 0 of the outbox is of offset 15, and progress is at 14`}},
}

// progress is at another place, with times that differ by so many milliseconds from those of the last claim.
func progress(offset int64, appended, logTime fcfs.Millis) func(*world) {
	return func(w *world) {
		at := fcfs.FromTime(morning.Add(31 * time.Hour))
		w.do("DEL", w.keys.Outbox())
		w.do("SET", w.keys.Progress(), redislayout.Progress{Offset: offset, AppendTime: at + appended, LogTime: at + logTime}.String())
	}
}

func outbox(elements ...string) func(*world) {
	return func(w *world) {
		w.do("DEL", w.keys.Outbox())
		for _, e := range elements {
			w.do("RPUSH", w.keys.Outbox(), e)
		}
	}
}

func sql(statement string) func(*world) { return func(w *world) { w.sql(statement) } }

var postgresFaults = []fault{
	{"a row is missing", func(w *world) {
		w.sql(`DELETE FROM grants WHERE source_offset = 3`)
	}, Missing, []string{"postgres: " + bob + " is missing: the log grants it (under-issue)", "coupon_windows says that 3 were granted of coupon tea, and there are 2 rows"}},
	{"the last row is missing", func(w *world) {
		w.sql(`DELETE FROM grants WHERE source_offset = 12`)
	}, Missing, []string{`to "dan" (source 0/12) is missing`, "coupon_windows says that 1 were granted of coupon lunch, window 2026-11-24, and there are 0 rows"}},
	{"a row with another sequence", sql(`UPDATE grants SET sequence = 9 WHERE source_offset = 3`), Wrong, []string{"postgres: " + bob + " is wrong: sequence is 9 and should be 2"}},
	{"a row of another person", sql(`UPDATE grants SET user_id = 'eve' WHERE source_offset = 3`), Wrong, []string{`user_id is "eve" and should be "bob"`}},
	{"a row of another window", func(w *world) {
		w.sql(`UPDATE grants SET "window" = '2026-11-25' WHERE source_offset = 7`)
	}, Wrong, []string{adaLunch + ` is wrong: window is "2026-11-25" and should be "2026-11-22"`, "coupon_windows says"}},
	{"a row with another limit", sql(`UPDATE grants SET "limit" = 3 WHERE source_offset = 3`), Wrong, []string{bob + " is wrong: limit is 3 and should be 2"}},
	{"a row with another time", sql(`UPDATE grants SET log_time = log_time + '1 ms'::interval WHERE source_offset = 3`), Wrong, []string{bob + " is wrong: log_time is"}},
	{"a row with another grant id", sql(`UPDATE grants SET grant_id = '00000000-0003-8000-8000-000000000000' WHERE source_offset = 3`), Wrong,
		[]string{bob + " has the grant id 00000000-0003-8000-8000-000000000000, and it should be"}},
	{"one more than the limit", func(w *world) { w.row(14, "tea", "eve", "", 4) }, OverIssue,
		[]string{`postgres: the grant of coupon tea, sequence 4, to "eve" (source 0/14) is there, and the log does not lead to it: that request is sold_out, as all 3 were given out before it (over-issue)`}},
	{"the same person twice", func(w *world) { w.row(2, "tea", "ada", "", 2) }, Twice, []string{`(source 0/2) is there, and the log does not lead to it: that request is already_issued`}},
	{"the same request twice", sql(`INSERT INTO grants SELECT * FROM grants WHERE source_offset = 3`), Twice,
		[]string{bob + ` is there, and the log does not lead to it: it is one more of the same request`, "coupon_windows says that 3 were granted of coupon tea, and there are 4 rows"}},
	{"a row of a request that nobody made", func(w *world) { w.row(99, "tea", "eve", "", 4) }, Unfounded,
		[]string{"postgres: grants has a row of coupon tea that comes from source 0/99, and the log ends at offset 15"}},
	{"a row of a partition that there is not", func(w *world) {
		w.sql(`INSERT INTO definitions SELECT 9, source_offset, coupon_id, "limit", "window", time_zone, opens_at, closes_at, rules, requested_at, log_time FROM definitions WHERE source_offset = 0`)
	}, Unfounded, []string{"postgres: definitions has 1 rows of partition 9, where no request for their coupons can be"}},
	{"a definition's row", sql(`UPDATE definitions SET closes_at = NULL WHERE source_offset = 8`), Wrong,
		[]string{`the definition of coupon tea with limit 3 (source 0/8) is wrong: closes_at is absent and should be 2026-11-26T13:00:00.000Z`}},
	{"a definition's row is missing", sql(`DELETE FROM definitions WHERE source_offset = 6`), Missing, []string{`postgres: the definition of coupon lunch with limit 1 (source 0/6) is missing`}},
	{"a definition too many", func(w *world) {
		w.sql(`INSERT INTO definitions SELECT 0, 13, 'milk', "limit", "window", time_zone, opens_at, closes_at, rules, requested_at, log_time FROM definitions WHERE source_offset = 0`)
	}, Unfounded, []string{`the definition of coupon milk with limit 2 (source 0/13) is there, and the log does not lead to it: that request is unknown_coupon`}},
	{"a sum", sql(`UPDATE coupon_windows SET granted = 7 WHERE coupon_id = 'tea'`), Wrong, []string{"postgres: coupon_windows says that 7 were granted of coupon tea, and there are 3 rows"}},
	{"a sum is missing", sql(`DELETE FROM coupon_windows WHERE coupon_id = 'tea'`), Wrong, []string{"coupon_windows says that 0 were granted of coupon tea, and there are 3 rows"}},
	{"a sum's times", sql(`UPDATE coupon_windows SET last_requested_at = now() WHERE coupon_id = 'tea'`), Wrong, []string{"coupon_windows has, for coupon tea, other times of the first and last grant than the rows"}},
	{"no place", sql(`DELETE FROM ledger_offsets`), Wrong, []string{"postgres: partition 0: ledger_offsets has no row, and the journal ends at 10"}},
	{"a place that is behind", sql(`UPDATE ledger_offsets SET next_offset = 9`), Behind, []string{"requests: partition 0: after 300ms the ledger is at journal offset 9, and the journal ends at 10"}},
	{"a place beyond the journal", sql(`UPDATE ledger_offsets SET next_offset = 99`), Wrong, []string{"postgres: partition 0: ledger_offsets is at journal offset 99, and the journal ends at 10"}},
	{"another highest source", sql(`UPDATE ledger_offsets SET highest_source = 13`), Wrong, []string{"ledger_offsets has the highest source 13 at journal offset 10, and it should be 12"}},
	{"restored from a backup, and no ledger runs", func(w *world) {
		w.sql(`DELETE FROM grants WHERE source_offset > 3`)
		w.sql(`DELETE FROM definitions WHERE source_offset > 3`)
		w.sql(`UPDATE ledger_offsets SET next_offset = 3, highest_source = 3`)
	}, Behind, []string{"after 300ms the ledger is at journal offset 3, and the journal ends at", "is missing", "coupon_windows says"}},
}

func lettersWith(change func(*world) []event.Message) func(*world) {
	return func(w *world) { w.lettersOf(change(w)...) }
}

func letter(topic string, offset int64, reason event.Reason) event.Message {
	return event.DeadLetter(event.Record{Topic: topic, Offset: offset, LastOffset: offset, Key: []byte("tea")}, reason, "")
}

var letterFaults = []fault{
	{"the same one twice", lettersWith(func(w *world) []event.Message { return append(w.letters, w.letters...) }), "", nil},
	{"none", lettersWith(func(*world) []event.Message { return nil }), Missing, []string{"dead letters: the request at 0/5 (not_cloudevent) is not among them"}},
	{"a good request", lettersWith(func(w *world) []event.Message { return append(w.letters, letter(w.requests, 3, event.ReasonInvalid)) }), Unfounded,
		[]string{"dead letters: the request at 0/3 is one (invalid), and it is a good one"}},
	{"another reason", lettersWith(func(w *world) []event.Message { return []event.Message{letter(w.requests, 5, event.ReasonInvalid)} }), Wrong,
		[]string{"dead letters: the request at 0/5 is one for invalid, and it should be for not_cloudevent"}},
	{"an alarm of the ledger", func(w *world) {
		w.lettersOf(append(w.letters, letter(w.grants, 3, event.ReasonUniqueViolation))...)
	}, Twice, []string{"dead letters: the ledger refused the journal record at journal offset 3 of partition 0: unique_violation"}},
	{"one of another system", lettersWith(func(w *world) []event.Message { return append(w.letters, letter("other", 3, event.ReasonInvalid)) }), Unfounded,
		[]string{`dead letters: there is one of topic "other", partition 0, offset 3: invalid`}},
	{"a record that is none", lettersWith(func(w *world) []event.Message { return append(w.letters, event.Message{Value: []byte("x")}) }), Unfounded,
		[]string{"dead letters: the record at offset 1 is no dead letter: it has no headers fc_"}},
}
