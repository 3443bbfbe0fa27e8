package coupontest_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// history is a requests log: each record at the next offset from 0, an hour after the one before.
type history struct {
	t   *testing.T
	log []event.Record
}

func (h *history) add(m event.Message, err error) *history {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
	n := len(h.log)
	h.log = append(h.log, event.Record{
		Topic: event.TopicRequests, Partition: 4, Offset: int64(n), LastOffset: int64(n), Time: noon.Add(time.Duration(n) * time.Hour),
		Key: m.Key, Value: m.Value, Headers: m.Headers,
	})
	return h
}

func (h *history) defined(change func(*event.CouponDefined)) *history {
	d := coupontest.Coupon("tea", 2)
	change(&d)
	return h.add(d.Message(event.Meta{Source: "/test"}))
}

func (h *history) asked(users ...string) *history {
	for _, user := range users {
		h.add(event.ClaimRequested{CouponID: "tea", UserID: user}.Message(event.Meta{Source: "/test"}))
	}
	return h
}

func limit(n int64) func(*event.CouponDefined) { return func(d *event.CouponDefined) { d.Limit = n } }

func daily(d *event.CouponDefined) {
	d.Limit, d.Window, d.TimeZone = 1, event.WindowDaily, "Asia/Seoul"
}

func TestRequireLogOrder(t *testing.T) {
	const wrong = "coupontest: tea was not given out in the order of the requests log:"
	for _, c := range []struct {
		name   string
		log    func(*history)
		grants []event.CouponGranted
		want   string
	}{
		{
			"who asked first", func(h *history) { h.defined(limit(2)).asked("ada", "ada", "bob", "eve") },
			[]event.CouponGranted{grant("bob", 2, 3), grant("ada", 1, 1)}, "",
		},
		{
			"the same record seen again", func(h *history) { h.defined(limit(2)).asked("ada", "bob", "eve") },
			[]event.CouponGranted{grant("ada", 1, 1), grant("ada", 1, 1), grant("bob", 2, 2)}, "",
		},
		{
			"a record seen again hides nobody", func(h *history) { h.defined(limit(2)).asked("ada", "bob", "eve") },
			[]event.CouponGranted{grant("ada", 1, 1), grant("ada", 1, 1), grant("eve", 2, 3)},
			lines(wrong, "bob (request 4/2) was passed over for eve, sequence 2 (request 4/3)"),
		},
		{
			"one overtook another", func(h *history) { h.defined(limit(2)).asked("ada", "bob") },
			[]event.CouponGranted{grant("ada", 2, 1), grant("bob", 1, 2)},
			lines(wrong, "bob, sequence 1 (request 4/2) overtook ada, sequence 2 (request 4/1)"),
		},
		{
			"one was passed over", func(h *history) { h.defined(limit(2)).asked("ada", "bob", "bob", "eve") },
			[]event.CouponGranted{grant("ada", 1, 1), grant("eve", 2, 4)},
			lines(wrong, "bob (request 4/2) was passed over for eve, sequence 2 (request 4/4)"),
		},
		{
			"granted by a later claim of one's own", func(h *history) { h.defined(limit(2)).asked("ada", "ada") },
			[]event.CouponGranted{grant("ada", 1, 2)},
			lines(wrong, "ada (request 4/1) was passed over for ada, sequence 1 (request 4/2)"),
		},
		{
			"nobody later has one", func(h *history) { h.defined(limit(2)).asked("ada", "bob") },
			[]event.CouponGranted{grant("ada", 1, 1)}, "",
		},
		{
			"nobody asked", func(h *history) { h.defined(limit(2)).asked("ada") },
			[]event.CouponGranted{grant("eve", 1, 1), grant("bob", 2, 7)},
			lines(wrong, "eve, sequence 1 (request 4/1): that claim is ada's", "bob, sequence 2 (request 4/7): there is no such claim"),
		},
		{
			"asked before there was a coupon", func(h *history) { h.asked("eve").defined(limit(2)).asked("ada") },
			[]event.CouponGranted{grant("ada", 1, 2)}, "",
		},
		{
			"sold out until the limit was raised", func(h *history) { h.defined(limit(1)).asked("ada", "eve").defined(limit(2)).asked("bob") },
			[]event.CouponGranted{grant("ada", 1, 1), grant("bob", 2, 4)}, "",
		},
		{
			"asked before it opened and after it closed", func(h *history) {
				h.defined(func(d *event.CouponDefined) {
					d.Limit, d.OpensAt, d.ClosesAt = 3, noon.Add(2*time.Hour), noon.Add(4*time.Hour)
				})
				h.asked("eve", "ada", "bob", "carl").defined(limit(3)).asked("dora")
			},
			[]event.CouponGranted{grant("ada", 1, 2), grant("bob", 2, 3), grant("dora", 3, 6)}, "",
		},
		{
			"each day anew, by the coupon's time", func(h *history) { h.defined(daily).asked("ada", "eve", "eve", "ada", "ada") }, // midnight in Seoul is at offset 3
			[]event.CouponGranted{on("2026-11-22", grant("ada", 1, 1)), on("2026-11-23", grant("eve", 1, 3))}, "",
		},
		{
			"passed over the next day", func(h *history) { h.defined(daily).asked("ada", "eve", "eve", "ada") },
			[]event.CouponGranted{on("2026-11-22", grant("ada", 1, 1)), on("2026-11-23", grant("ada", 1, 4))},
			lines(wrong, "eve (request 4/3) was passed over for ada, sequence 1 of 2026-11-23 (request 4/4)"),
		},
		{
			"a conflict changes nothing", func(h *history) { h.defined(limit(2)).asked("ada").defined(daily).asked("eve", "bob") },
			[]event.CouponGranted{grant("ada", 1, 1), grant("bob", 2, 4)},
			lines(wrong, "eve (request 4/3) was passed over for bob, sequence 2 (request 4/4)"),
		},
		{
			"another coupon's", func(h *history) {
				h.defined(limit(2)).add(event.ClaimRequested{CouponID: "cake", UserID: "eve"}.Message(event.Meta{Source: "/test"})).asked("ada")
			},
			[]event.CouponGranted{grant("ada", 1, 2)}, "",
		},
		{
			"a dead letter", func(h *history) {
				h.defined(limit(2)).add(event.Message{Key: []byte("tea"), Value: []byte("eve")}, nil).asked("ada")
			},
			[]event.CouponGranted{grant("ada", 1, 2)}, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &history{t: t}
			c.log(h)
			if said := failure(t, func(tb testing.TB) { coupontest.RequireLogOrder(tb, c.grants, "tea", h.log) }); said != c.want {
				t.Errorf("said\n%s\nwant\n%s", said, c.want)
			}
		})
	}
}

// What docs/testing.md shows of failures is what they say.
func TestRequire_AsOnThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	h := &history{t: t}
	h.defined(limit(3)).asked("ada", "bob", "carl", "dora", "eve")
	grants := []event.CouponGranted{grant("bob", 1, 2), grant("ada", 2, 1), grant("eve", 3, 5)}
	for _, said := range []string{
		failure(t, func(tb testing.TB) { coupontest.RequireLogOrder(tb, grants, "tea", h.log) }),
		failure(t, func(tb testing.TB) {
			coupontest.RequireExactly(tb, append(grants, grant("ada", 5, 7), grant("frank", 3, 8)), "tea", 5)
		}),
		failure(t, func(tb testing.TB) { coupontest.RequireGranted(tb, grants, "ada", "bob", "carl") }),
	} {
		if said == "" || !strings.Contains(string(page), "```text\n"+said+"\n```\n") {
			t.Errorf("docs/testing.md doesn't have\n%s", said)
		}
	}
}
