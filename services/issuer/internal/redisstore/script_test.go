package redisstore_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/services/issuer/internal/redisstore"
	"github.com/firstcome/firstcome/services/issuer/partition"
	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

const (
	day  = fcfs.Millis(24 * 3600_000)
	noon = fcfs.Millis(1_800_014_400_000)
)

var start = time.UnixMilli(int64(noon))

func coupon(id string, limit int64) fcfs.Definition {
	return fcfs.Definition{CouponID: id, Limit: limit, Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1}
}

func daily(id string, limit int64) fcfs.Definition {
	d := coupon(id, limit)
	d.Window = fcfs.WindowDaily
	return d
}

// held is a partition in which a coupon of each kind has people.
func held(t *testing.T) (*spy, *partitiontest.World, partition.Progress) {
	t.Helper()
	servers := coupontest.Start(t, coupontest.Redis)
	w := partitiontest.NewWorld(0)
	s := newSpy(t, servers, 0, w)
	w.Use(s)
	closing := coupon("once", 2)
	closing.ClosesAt = noon + day
	for _, q := range []partition.Request{
		partitiontest.Define(noon, closing), partitiontest.Define(noon, daily("daily", 2)),
		partitiontest.Claim(noon, "once", "u1"), partitiontest.Claim(noon, "daily", "u1"),
	} {
		w.Append(0, q)
	}
	settle(t, partitiontest.NewOwner(w, 0, partition.Config{}), start)
	loaded, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, w, loaded.Progress
}

// batch is one that would change everything that can be changed.
func batch(expected partition.Progress) *partition.Batch {
	at := expected.Offset
	return &partition.Batch{
		Expected: expected, Next: partition.Progress{Offset: at + 3, AppendTime: noon, LogTime: noon}, Covered: at,
		Drops: []partition.Window{{CouponID: "daily", Day: "2027-01-15"}},
		Groups: []partition.Group{{
			Window: partition.Window{CouponID: "once"}, Limit: 2,
			Claims: []partition.Claim{{Offset: at + 1, Time: noon, LogTime: noon, UserID: "u2"}},
		}},
		Define: &partition.Define{
			Fact:  fcfs.Fact{Source: fcfs.Source{Offset: at + 3}, RequestedAt: noon, LogTime: noon, Defined: &fcfs.Definition{CouponID: "new", Limit: 1, Window: "none", TimeZone: "UTC", Rules: 1, ClosesAt: noon + day}},
			Count: 1, DropAt: noon + 2*day,
		},
	}
}

func piece(expected partition.Progress) *partition.Restore {
	b := batch(expected)
	return &partition.Restore{
		Expected: b.Expected, Next: b.Next, Drops: b.Drops, Defined: []partition.Define{*b.Define},
		Granted: []partition.Restored{{Window: b.Groups[0].Window, Entries: []partition.Entry{{UserID: "u2", Entry: fcfs.Entry{Sequence: 2, Offset: expected.Offset + 1}}}}},
	}
}

func equal(a, b map[string]map[string]string) bool { return maps.EqualFunc(a, b, maps.Equal) }

// A call that expects another progress changes nothing and says what it found, whether it expects less, more, nothing, or
// the same offset of another log.
func TestStore_ComparesProgress(t *testing.T) {
	s, _, at := held(t)
	before := s.dump()
	for name, wrong := range map[string]partition.Progress{
		"lower": {Offset: at.Offset - 1, AppendTime: at.AppendTime, LogTime: at.LogTime}, "missing": partition.Nothing,
		"higher":       {Offset: at.Offset + 1, AppendTime: at.AppendTime, LogTime: at.LogTime},
		"another time": {Offset: at.Offset, AppendTime: at.AppendTime + 1, LogTime: at.LogTime},
		"another log":  {Offset: at.Offset, AppendTime: at.AppendTime, LogTime: at.LogTime + 1},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			answer := s.Store.Decide(ctx, batch(wrong))[0]
			restored, err1 := s.Store.Restore(ctx, piece(wrong))
			looked, err2 := s.Look(ctx, wrong, at.Offset)
			definitions, err3 := s.Definitions(ctx, wrong, "")
			windows, err4 := s.Windows(ctx, wrong, 0)
			for _, err := range []error{answer.Err, err1, err2, err3, err4} {
				if err != nil {
					t.Error(err)
				}
			}
			for _, found := range []partition.Progress{answer.Found, restored, looked, definitions.Found, windows.Found} {
				if found != at {
					t.Errorf("found %v, not %v", found, at)
				}
			}
			if len(definitions.Coupons)+len(windows.Windows) > 0 {
				t.Error("gave what is in force at another progress")
			}
			if after := s.dump(); !equal(before, after) {
				t.Errorf("changed\n%v to\n%v", before, after)
			}
		})
	}
}

// Whatever is found where a key should be, a script that fails has written nothing.
func TestStore_FailsBeforeItWrites(t *testing.T) {
	for name, key := range map[string]func(redislayout.Keys) string{
		"progress": redislayout.Keys.Progress, "coupons": redislayout.Keys.Coupons, "retire": redislayout.Keys.Retire, "outbox": redislayout.Keys.Outbox,
		"coupon of claims":       func(k redislayout.Keys) string { return k.Coupon("once") },
		"people of claims":       func(k redislayout.Keys) string { return k.Granted("once", "") },
		"coupon of a drop":       func(k redislayout.Keys) string { return k.Coupon("daily") },
		"people of a drop":       func(k redislayout.Keys) string { return k.Granted("daily", "2027-01-15") },
		"coupon of a definition": func(k redislayout.Keys) string { return k.Coupon("new") },
	} {
		t.Run(name, func(t *testing.T) {
			s, _, at := held(t)
			ctx, key := t.Context(), key(s.keys)
			s.redis.Del(ctx, key)
			if key == s.keys.Progress() {
				s.redis.LPush(ctx, key, "x")
			} else {
				s.redis.Set(ctx, key, "not what it should be", 0)
			}
			before := s.dump()
			// A drop of people of any type would do no harm; but who has put that there will have done more.
			if a := s.Store.Decide(ctx, batch(at))[0]; a.Err == nil {
				t.Error("decided")
			}
			if _, err := s.Store.Restore(ctx, piece(at)); err == nil {
				t.Error("restored")
			}
			if after := s.dump(); !equal(before, after) {
				t.Errorf("changed\n%v to\n%v", before, after)
			}
		})
	}
}

// A counter that is no number, a progress that went alone, a sequence that does not follow: said, and nothing written.
func TestStore_Damaged(t *testing.T) {
	for name, c := range map[string]struct {
		damage  func(*spy)
		soldOut bool
		expect  func(partition.Progress) partition.Progress
	}{
		"a counter is no number": {damage: func(s *spy) {
			s.redis.HSet(s.t.Context(), s.keys.Coupon("once"), redislayout.GrantedField(""), "x")
		}},
		"progress is missing, not the rest": {
			damage: func(s *spy) { s.redis.Del(s.t.Context(), s.keys.Progress()) },
			expect: func(partition.Progress) partition.Progress { return partition.Nothing },
		},
		"another count than the journal's, or than sold out": {soldOut: true, damage: func(s *spy) {
			s.redis.HSet(s.t.Context(), s.keys.Coupon("once"), redislayout.GrantedField(""), "0")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, at := held(t)
			c.damage(s)
			if c.expect != nil {
				at = c.expect(at)
			}
			before := s.dump()
			if _, err := s.Store.Restore(t.Context(), piece(at)); err == nil {
				t.Error("restored")
			}
			b := batch(at)
			b.Groups[0].SoldOut = c.soldOut
			if a := s.Store.Decide(t.Context(), b)[0]; a.Err == nil {
				t.Error("decided")
			}
			if after := s.dump(); !equal(before, after) {
				t.Errorf("changed\n%v to\n%v", before, after)
			}
		})
	}
}

// Redis may forget scripts at any time: in the middle of a pipeline too, nothing is lost or done twice.
func TestStore_ForgottenScripts(t *testing.T) {
	s, _, at := held(t)
	ctx := t.Context()
	var batches []*partition.Batch
	for i := range int64(3) {
		next := partition.Progress{Offset: at.Offset + 1, AppendTime: noon, LogTime: noon}
		batches = append(batches, &partition.Batch{Expected: at, Next: next, Groups: []partition.Group{{
			Window: partition.Window{CouponID: "daily", Day: "2027-01-15"}, Limit: 3,
			Claims: []partition.Claim{{Offset: next.Offset, Time: noon, LogTime: noon, UserID: fmt.Sprint("new", i)}},
		}}})
		at = next
	}
	s.redis.ScriptFlush(ctx)
	var outcomes []fcfs.Outcome
	for i, a := range s.Store.Decide(ctx, batches...) {
		if a.Err != nil || a.Found != batches[i].Expected {
			t.Fatalf("batch %d: %+v", i, a)
		}
		outcomes = append(outcomes, a.Groups[0].Outcomes...)
	}
	if want := []fcfs.Outcome{fcfs.Granted, fcfs.Granted, fcfs.SoldOut}; !slices.Equal(outcomes, want) {
		t.Errorf("decided %v, not %v", outcomes, want)
	}
	s.redis.ScriptFlush(ctx)
	if _, err := s.Look(ctx, at, -1); err != nil {
		t.Error(err)
	}
	s.redis.ScriptFlush(ctx)
	if _, err := s.Load(ctx); err != nil {
		t.Error(err)
	}
}

// A pipeline of which the first batch finds another progress: all of them do.
func TestStore_PipelineIsAChain(t *testing.T) {
	s, _, at := held(t)
	first := batch(partition.Progress{Offset: at.Offset - 1, AppendTime: 5, LogTime: 5})
	second := batch(first.Next)
	before := s.dump()
	for i, a := range s.Store.Decide(t.Context(), first, second) {
		if a.Err != nil || a.Found != at {
			t.Errorf("batch %d: %+v", i, a)
		}
	}
	if after := s.dump(); !equal(before, after) {
		t.Errorf("changed\n%v to\n%v", before, after)
	}
}

// Batches beyond what Lua unpacks at once, of one coupon, with people who ask more than once.
func TestStore_LargeBatch(t *testing.T) {
	servers := coupontest.Start(t, coupontest.Redis)
	w := partitiontest.NewWorld(0)
	s := newSpy(t, servers, 0, w)
	w.Use(s)
	w.FetchMost, w.JournalPage = 10_000, 10_000
	rng := rand.New(rand.NewPCG(1, 1))
	w.Append(0, partitiontest.Define(noon, coupon("c", 2200)))
	for range 3500 {
		w.Append(0, partitiontest.Claim(noon, "c", fmt.Sprint("user ", rng.IntN(2600))))
	}
	for range 1200 {
		w.Append(0, partitiontest.Claim(noon, "c", fmt.Sprint("user ", rng.IntN(4000))))
	}
	o := partitiontest.NewOwner(w, 0, partition.Config{MaxBatch: 3500, MaxBuffered: 10_000})
	settle(t, o, start)
	if largest := slices.Max(s.sizes); largest != 3500 {
		t.Errorf("the largest batch had %d records", largest)
	}
	s.Empty()
	settle(t, o, start.Add(time.Minute))
}

// The 1,001st definition is invalid; of another window, once something was granted, it is a conflict: that rule goes first.
func TestStore_ManyDefinitions(t *testing.T) {
	servers := coupontest.Start(t, coupontest.Redis)
	w := partitiontest.NewWorld(0)
	s := newSpy(t, servers, 0, w)
	w.Use(quiet{s})
	w.FetchMost = 2000
	for i := range fcfs.MaxDefinitions {
		w.Append(0, partitiontest.Define(noon, coupon("c", int64(1+i))))
	}
	o := partitiontest.NewOwner(w, 0, partition.Config{MaxBuffered: 2000})
	now := settle(t, o, start)
	w.Use(s)
	for _, q := range []partition.Request{
		partitiontest.Define(noon, coupon("c", 5)), partitiontest.Define(noon, daily("c", 5)),
		partitiontest.Claim(noon, "c", "u"), partitiontest.Define(noon, daily("c", 6)), partitiontest.Define(noon, coupon("c", 7)),
	} {
		w.Append(0, q)
	}
	settle(t, o, now)
}

// quiet is a store that is not compared after each batch.
type quiet struct{ *spy }

func (q quiet) Decide(ctx context.Context, batches ...*partition.Batch) []partition.Answer {
	return q.spy.Store.Decide(ctx, batches...)
}

// A Redis whose memory is full refuses; what was there stays as it was.
func TestStore_NoMemory(t *testing.T) {
	servers := coupontest.StartAlone(t, coupontest.Redis)
	client := redisstore.Open(env.Redis{Addr: []string{servers.RedisAddr}, Mode: "single", Prefix: servers.RedisPrefix})
	t.Cleanup(func() { _ = client.Close() })
	s := &spy{Store: client.Partition(0), t: t, redis: servers.Redis(t), keys: redislayout.New(servers.RedisPrefix, 0)}
	first := &partition.Batch{Expected: partition.Nothing, Next: partition.Progress{Offset: 0, AppendTime: noon, LogTime: noon}, Define: batch(partition.Nothing).Define}
	if a := s.Store.Decide(t.Context(), first)[0]; a.Err != nil {
		t.Fatal(a.Err)
	}
	if err := s.redis.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		if servers.Kind != "embedded" {
			t.Fatal(err)
		}
		return // miniredis has memory without end
	}
	before := s.dump()
	b := batch(first.Next)
	b.Groups, b.Drops = nil, nil
	if a := s.Store.Decide(t.Context(), b)[0]; a.Err == nil || !strings.Contains(a.Err.Error(), "OOM") {
		t.Errorf("decided without memory: %v", a.Err)
	}
	if after := s.dump(); !equal(before, after) {
		t.Errorf("changed\n%v to\n%v", before, after)
	}
}

// A batch gives up what the journal has acknowledged by then, and nothing more; so does a look.
func TestStore_Trims(t *testing.T) {
	s, _, at := held(t)
	ctx := t.Context()
	step := func(user string, covered int64) {
		t.Helper()
		next := partition.Progress{Offset: at.Offset + 1, AppendTime: noon, LogTime: noon}
		a := s.Store.Decide(ctx, &partition.Batch{Expected: at, Next: next, Covered: covered, Groups: []partition.Group{{
			Window: partition.Window{CouponID: "daily", Day: "2027-01-15"}, Limit: 9,
			Claims: []partition.Claim{{Offset: next.Offset, Time: noon, LogTime: noon, UserID: user}},
		}}})[0]
		if a.Err != nil || a.Found != at {
			t.Fatalf("%+v", a)
		}
		at = next
	}
	outbox := func() (offsets []int64) {
		loaded, err := s.Load(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range loaded.Outbox {
			offsets = append(offsets, d.Progress.Offset)
		}
		return offsets
	}
	for _, user := range []string{"a", "b", "c"} { // offsets 4, 5, 6
		step(user, 3)
	}
	if got := outbox(); !slices.Equal(got, []int64{4, 5, 6}) {
		t.Errorf("the outbox has %v", got)
	}
	step("d", 5)
	if got := outbox(); !slices.Equal(got, []int64{6, 7}) {
		t.Errorf("after a batch the outbox has %v", got)
	}
	if _, err := s.Look(ctx, at, 6); err != nil {
		t.Fatal(err)
	}
	if got := outbox(); !slices.Equal(got, []int64{7}) {
		t.Errorf("after a look the outbox has %v", got)
	}
}
