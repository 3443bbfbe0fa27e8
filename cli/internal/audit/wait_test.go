package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/event"
)

// What an issuer or a ledger has still to do is waited for, and no difference.
func TestWaits(t *testing.T) {
	w := newWorld(t)
	w.sql("ALTER TABLE grants ADD PRIMARY KEY (source_partition, source_offset)")
	w.timeout = time.Minute
	for _, c := range []struct {
		name string
		hand func(*world)
	}{
		{"Redis is emptied", (*world).flush},
		{"Postgres is restored from a backup", func(w *world) {
			w.sql(`DELETE FROM grants WHERE source_offset > 3`)
			w.sql(`DELETE FROM definitions WHERE source_offset > 3`)
			w.sql(`DELETE FROM coupon_windows`)
			w.sql(`INSERT INTO coupon_windows SELECT coupon_id, "window", count(*), min(requested_at), max(requested_at) FROM grants GROUP BY 1, 2`)
			w.sql(`UPDATE ledger_offsets SET next_offset = 3, highest_source = 3, last_offset = 2, last_time = (SELECT requested_at FROM grants WHERE source_offset = 3)`)
		}},
		{"claims that nobody has decided", func(w *world) {
			before := len(w.log)
			w.claim(32*time.Hour, "lunch", "fay")
			w.claim(32*time.Hour, "tea", "fay")
			w.publish(w.requests, w.log[before:]...)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			c.hand(w)
			var r Report
			var err error
			done := make(chan struct{})
			go func() {
				defer close(done)
				r, err = w.audit()
			}()
			stop := w.services(nil)
			<-done
			stop()
			if err != nil {
				t.Fatal(err)
			}
			check(t, r, "")
		})
	}
}

// An issuer that has decided, and has not emitted yet, is waited for.
func TestWaits_Journal(t *testing.T) {
	w := newWorld(t)
	before := len(w.log)
	w.claim(32*time.Hour, "lunch", "fay")
	w.define(32*time.Hour, event.CouponDefined{CouponID: "pie", Limit: 1, Window: "none", TimeZone: "UTC"})
	w.publish(w.requests, w.log[before:]...)
	asked := make(chan struct{})
	release := sync.OnceFunc(func() { close(asked) })
	stop := w.services(func(point string, _ int32) error {
		if point == "decided" {
			<-asked
		}
		return nil
	})
	t.Cleanup(release) // before the services are stopped
	w.timeout = time.Minute
	r, err := w.auditWith(&meddler{pending: release})
	release()
	stop()
	if err != nil {
		t.Fatal(err)
	}
	check(t, r, "")
	if r.Compared.Requests != 17 || r.Compared.Definitions != 5 {
		t.Errorf("compared %+v", r.Compared)
	}
}

// meddler does something as soon as the audit begins to read the people, something else when it asks for the second time
// about those who seem to lack theirs, something when it asks whether the outbox has what the journal lacks, and something
// each time when it has read which coupons there are.
type meddler struct {
	first, second, pending func()
	coupons                func(times int)
	scans, asks, waits     sync.Once
	asked, listed          int
}

func (m *meddler) DialHook(next redis.DialHook) redis.DialHook { return next }

func (m *meddler) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "hscan" && m.first != nil {
			m.scans.Do(m.first)
		}
		err := next(ctx, cmd)
		if cmd.Name() == "zrange" && m.coupons != nil {
			m.listed++
			m.coupons(m.listed)
		}
		return err
	}
}

func (m *meddler) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			switch cmd.Name() {
			case "hmget":
				if m.asked++; m.asked == 2 && m.second != nil {
					m.asks.Do(m.second)
				}
			case "lindex":
				if m.pending != nil {
					m.waits.Do(m.pending)
				}
			}
		}
		return next(ctx, cmds)
	}
}

func (w *world) auditWith(m *meddler) (Report, error) {
	watched := *w
	watched.redis = redis.NewClient(w.redis.Options())
	defer watched.redis.Close()
	watched.redis.AddHook(m)
	return watched.audit()
}

// Coupons may be defined while the audit reads which there are.
func TestCouponsMeanwhile(t *testing.T) {
	w := newWorld(t)
	r, err := w.auditWith(&meddler{coupons: func(times int) {
		switch times {
		case 1:
			w.do("ZADD", w.keys.Coupons(), 0, "milk")
		case 2:
			w.do("ZREM", w.keys.Coupons(), "milk")
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	check(t, r, "")
	_, err = w.auditWith(&meddler{coupons: func(times int) { w.do("ZADD", w.keys.Coupons(), 0, fmt.Sprint("milk-", times)) }})
	if !errors.Is(err, errMoving) {
		t.Errorf("got %v, though they never stopped", err)
	}
}

// Redis may be emptied and rebuilt, go on, and drop what is retired while its people are read.
func TestPeopleMeanwhile(t *testing.T) {
	w := newWorld(t)
	const short, long = 300 * time.Millisecond, 10 * time.Second
	at := redislayout.Progress{Offset: 20, LogTime: fcfs.FromTime(morning.Add(200 * time.Hour))}
	for _, c := range []struct {
		name          string
		first, second func()
		timeout       time.Duration
		kind          Kind
		want          []string
	}{
		{name: "nothing", first: func() {}, timeout: short},
		{name: "emptied and rebuilt", first: w.flush, second: w.mend, timeout: long},
		{name: "emptied and never rebuilt", first: w.flush, second: func() {}, timeout: short, kind: Behind, want: []string{"its people can't be compared: after 300ms Redis is not back at offset 14"}},
		{name: "retired", timeout: short, first: func() {
			w.do("DEL", w.keys.Granted("tea", ""))
			w.do("SET", w.keys.Progress(), at.String())
		}},
		{name: "retired, since it was defined to close earlier", timeout: short, first: func() {
			w.do("DEL", w.keys.Granted("tea", ""))
			w.do("SET", w.keys.Progress(), redislayout.Progress{Offset: 20, LogTime: fcfs.FromTime(morning.Add(60 * time.Hour))}.String())
			w.do("HSET", w.keys.Coupon("tea"), "current", 19, "def:19", `{"limit":3,"window":"none","time_zone":"UTC","closes_at":`+closed+`,"rules":1}`)
		}},
		{name: "gone, and not retired", timeout: short, kind: Missing, first: func() {
			w.do("HDEL", w.keys.Granted("tea", ""), "bob")
			w.do("SET", w.keys.Progress(), redislayout.Progress{Offset: 20, LogTime: fcfs.FromTime(morning.Add(60 * time.Hour))}.String())
		}, want: []string{`redis: "bob" is missing in coupon tea, sequence 2 (source 0/3)`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			defer w.mend()
			w.timeout = c.timeout
			r, err := w.auditWith(&meddler{first: c.first, second: c.second})
			if err != nil {
				t.Fatal(err)
			}
			check(t, r, c.kind, c.want...)
		})
	}
}

// closed is 30 h after the morning.
const closed = "1795446000000"

// Where the log's start is gone, the journal stands in for it, and the rest is decided as before.
func TestTruncatedLog(t *testing.T) {
	w := newWorld(t)
	for _, start := range []int64{1, 3, 5, 8, 10, 12, 14, 15} {
		w.servers.Truncate(t, w.requests, 0, start)
		r, err := w.audit()
		if err != nil {
			t.Fatal(err)
		}
		check(t, r, "")
		if r.Bounds[0].LogStart != start || r.Compared.Truncated != 1 || r.Compared.Grants != 6 {
			t.Errorf("from %d: %+v", start, r)
		}
		w.do("HSET", w.keys.Granted("tea", ""), "bob", "1:3")
		w.sql(`UPDATE grants SET sequence = 9 WHERE source_offset = 3`)
		if r, err = w.audit(); err != nil {
			t.Fatal(err)
		}
		check(t, r, Wrong, `"bob" has "1:3" in coupon tea, and should have sequence 2`, bob+" is wrong: sequence is 9 and should be 2")
		w.mend()
	}
	w.try([]fault{
		{"a journal that does not follow", journalWith(func(_ *world, j []event.Message) []event.Message { return append(j[:1:1], j[2:]...) }), Wrong,
			[]string{"journal: " + bob + " does not follow from the journal before it: fact of offset 3: grant of tea with sequence 2 where 1 comes next",
				`journal: the grant of coupon tea, sequence 3, to "cyd" (source 0/9) does not follow`,
				`postgres: the grant of coupon tea, sequence 1, to "ada" (source 0/1) is there`, "postgres: " + bob + " is there", `postgres: the grant of coupon tea, sequence 3, to "cyd" (source 0/9) is there`,
				"coupon tea has total 3, and it should be 0", "coupon tea has granted: 3, which the log does not lead to",
				`redis: "ada" has "1:1" in coupon tea`, `redis: "bob" has "2:3" in coupon tea`, `redis: "cyd" has "3:9" in coupon tea`}},
		{"other bytes of the same meaning", touched(1, func(m *event.Message) { m.Value = append(m.Value, ' ') }), Wrong, []string{"is not written as it must be at journal offset 1: its value is"}},
		{"a record that cannot be read", touched(9, func(m *event.Message) { m.Value = []byte("{}") }), Wrong,
			[]string{"the record at journal offset 9 cannot be read: invalid",
				`postgres: the grant of coupon lunch, window 2026-11-24, sequence 1, to "dan" (source 0/12) is there`,
				"coupon lunch has total 2, and it should be 1", "coupon lunch has granted:2026-11-24 1, which the log does not lead to",
				"the people of lunch:2026-11-24 are to be dropped at 2026-11-25T15:00:00.000Z, and the log does not say so", `redis: "dan" has "1:12" in coupon lunch`}},
	}...)
}
