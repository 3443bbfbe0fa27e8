package audit

import (
	"errors"
	"testing"

	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/event"
)

// Where single coupons are looked at, what is about others is left out, and what is about them is found.
func TestCoupons(t *testing.T) {
	w := newWorld(t)
	w.coupons = []string{"tea"}
	w.answers = KnownAnswers([]crowd.Record{{CouponID: "tea", UserID: "bob", Outcome: "granted", Sequence: 2}, {CouponID: "lunch", UserID: "zoe", Outcome: "granted", Sequence: 9}})
	r, err := w.audit()
	if err != nil {
		t.Fatal(err)
	}
	check(t, r, "")
	want := Compared{Partitions: 1, Requests: len(w.log), Definitions: 2, Grants: 3, Journal: 10, RedisPeople: 3, RedisCoupons: 1, PostgresRows: 5, DeadLetters: 1, Answers: 1}
	if r.Compared != want {
		t.Errorf("compared %+v, want %+v", r.Compared, want)
	}
	w.answers = nil
	w.try([]fault{
		{"the journal of another", journalWith(func(_ *world, j []event.Message) []event.Message { return append(j[:3:3], j[4:]...) }), "", nil},
		{"Redis of another", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Granted("lunch", "2026-11-24"), "eve", "2:8"} }), "", nil},
		{"a coupon of another", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Coupon("lunch"), "total", 8} }), "", nil},
		{"a stray key of another", redisDo(func(k redislayout.Keys) []any { return []any{"HSET", k.Granted("milk", ""), "dan", "1:13"} }), "", nil},
		{"Postgres of another", sql(`DELETE FROM grants WHERE coupon_id = 'lunch'`), "", nil},

		{"its journal", journalWith(func(_ *world, j []event.Message) []event.Message { return append(j[:2:2], j[3:]...) }), Missing, []string{"journal: " + bob + " is missing"}},
		{"a place of its own under another's key", journalWith(func(w *world, j []event.Message) []event.Message {
			j[2] = w.grant(3, "lunch", "bob", 2)
			return j
		}), Wrong, []string{bob + " is wrong: requested_at"}},
		{"a grant of another's request", journalWith(func(w *world, j []event.Message) []event.Message {
			j[4] = w.grant(7, "tea", "ada", 3)
			return j
		}), Unfounded, []string{"(source 0/7) is there, and the log does not lead to it: that request is about another coupon"}},
		{"its people", redisDo(func(k redislayout.Keys) []any { return []any{"HDEL", k.Granted("tea", ""), "bob"} }), Missing, []string{`"bob" is missing in coupon tea`}},
		{"a stray key of its own", redisDo(func(k redislayout.Keys) []any { return []any{"SET", k.Granted("tea", "x"), "1"} }), Unfounded, []string{`granted:tea:x" belongs to nothing`}},
		{"its rows", sql(`DELETE FROM grants WHERE source_offset = 3`), Missing, []string{"postgres: " + bob + " is missing", "coupon_windows says that 3 were granted of coupon tea"}},
		{"its rows under another partition", sql(`UPDATE grants SET source_partition = 5 WHERE source_offset = 3`), Missing,
			[]string{"postgres: " + bob + " is missing", "postgres: grants has 1 rows of partition 5, where no request for their coupons can be"}},
		{"its dead letters", lettersWith(func(*world) []event.Message { return nil }), Missing, []string{"the request at 0/5 (not_cloudevent) is not among them"}},
	}...)

	w.coupons = []string{"tea", "lunch", "tea"} // a coupon that is named twice is looked at once
	w.sql(`UPDATE grants SET source_partition = 5 WHERE source_offset = 3`)
	if r, err = w.audit(); err != nil || r.Found[placePostgres] != 2 {
		t.Errorf("got %+v, %v; want the missing row and the strange one", r, err)
	}
	w.mend()

	w.coupons = []string{"tea", "beer"}
	var unknown *UnknownCouponError
	if _, err := w.audit(); !errors.As(err, &unknown) || unknown.CouponID != "beer" {
		t.Errorf("got %v, want beer to be unknown", err)
	}
	w.coupons = []string{"milk"} // which people asked for
	if r, err := w.audit(); err != nil || !r.OK {
		t.Errorf("got %+v, %v", r, err)
	}
}
