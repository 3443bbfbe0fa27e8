package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

// More than a page of everything.
func TestManyPages(t *testing.T) {
	const people = 2*pageRows + blockRecords + 10
	w := start(t)
	w.define(0, event.CouponDefined{CouponID: "tea", Limit: people, Window: "none", TimeZone: "UTC"})
	for i := range people {
		w.claim(time.Second, "tea", fmt.Sprintf("p%05d", i))
		if i%1000 == 0 {
			w.define(time.Second, event.CouponDefined{CouponID: "tea", Limit: people, Window: "none", TimeZone: "UTC"})
		}
	}
	w.settle()
	r, err := w.audit()
	if err != nil {
		t.Fatal(err)
	}
	check(t, r, "")
	definitions := people/1000 + 2
	want := Compared{Partitions: 1, Requests: len(w.log), Definitions: definitions, Grants: people, Journal: len(w.log), RedisPeople: people, RedisCoupons: 1, PostgresRows: len(w.log)}
	if r.Compared != want {
		t.Errorf("compared %+v, want %+v", r.Compared, want)
	}
	far := int64(2*pageRows + 500)
	last := w.written(fcfs.Fact{Source: fcfs.Source{Offset: 4000}, RequestedAt: 1, LogTime: 1, Granted: &fcfs.GrantFact{CouponID: "tea", UserID: "eve", Sequence: 9, Limit: people}})
	w.try([]fault{
		{"a late batch", journalWith(func(_ *world, j []event.Message) []event.Message { return append(j, j[900:8000]...) }), "", nil},
		{"a late batch in the middle", journalWith(func(_ *world, j []event.Message) []event.Message {
			return append(append(j[:6000:6000], j[2000:5000]...), j[6000:]...)
		}), "", nil},
		{"late batches of places where late batches are", journalWith(func(_ *world, j []event.Message) []event.Message {
			return slices.Concat(j[:6000], j[2000:5000], j[6000:], j[5200:6100])
		}), "", nil},
		{"late batches of a thousand records that are not all there yet", journalWith(func(_ *world, j []event.Message) []event.Message {
			return slices.Concat(j[:100], j[50:60], j[100:200], j[150:160], j[200:])
		}), "", nil},
		{"a duplicate that says something else", appended(func(*world) event.Message { return last }), Wrong, []string{"(source 0/4000) is a duplicate of the one at journal offset 4000, and not the same: its value is"}},
		{"a row far in", func(w *world) { w.sql(`UPDATE grants SET "limit" = 1 WHERE source_offset = $1`, far) }, Wrong, []string{fmt.Sprintf("(source 0/%d) is wrong: limit is 1", far)}},
		{"a person far in", func(w *world) { w.do("HDEL", w.keys.Granted("tea", ""), "p09000") }, Missing, []string{`redis: "p09000" is missing in coupon tea, sequence 9001`}},
	}...)

	// Of what is wrong everywhere, the first are kept and all are counted.
	w.sql(`UPDATE grants SET "limit" = 1`)
	w.do("DEL", w.keys.Granted("tea", ""))
	if r, err = w.audit(); err != nil {
		t.Fatal(err)
	}
	if len(r.Differences) != 2*maxKept || r.Found[placePostgres] != people || r.Found[placeRedis] != people {
		t.Errorf("kept %d of %v", len(r.Differences), r.Found)
	}
	var out strings.Builder
	r.Write(&out)
	if !strings.Contains(out.String(), "… and 22,018 more (--json has the first 1,000 of each place)\naudit: 22,068 differences;") {
		t.Errorf("got %s", out.String())
	}
}

func TestReport_Write(t *testing.T) {
	var f findings
	f.add(missing(placePostgres, fcfs.Fact{Source: fcfs.Source{Offset: 3}, Granted: &fcfs.GrantFact{CouponID: "tea", UserID: "bob", Sequence: 2, Limit: 2}}))
	r := Report{Found: f.count, Differences: f.kept, Compared: Compared{Partitions: 1, Requests: 12, Definitions: 3, Grants: 5, Journal: 9, Duplicates: 1, Unknown: 1, RedisPeople: 5, PostgresRows: 7, Answers: 1}}
	var out strings.Builder
	r.Write(&out)
	want := `postgres: the grant of coupon tea, sequence 2, to "bob" (source 0/3) is missing: the log grants it (under-issue)
audit: 1 difference; the log leads to 3 definitions and 5 grants; compared 12 requests in 1 partition, 9 journal records (1 duplicate, 1 of an unknown type), 5 people in Redis, 7 rows in Postgres, 0 dead letters, 1 answer
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
