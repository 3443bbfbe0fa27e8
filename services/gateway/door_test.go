package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/services/gateway/internal/redisstore"
	"github.com/firstcome/firstcome/services/gateway/verdict"
	"github.com/firstcome/firstcome/services/gateway/verdict/verdicttest"
)

// door is the store's own view of a partition 0 whose state tests write.
type door struct {
	*double
	store *redisstore.Store
}

func newDoor(t testing.TB) door {
	t.Helper()
	servers := coupontest.Start(t, coupontest.Redis)
	store := redisstore.Open(testConfig(t, servers).Redis)
	t.Cleanup(func() { store.Close() })
	return door{&double{t: t, redis: servers.Redis(t), prefix: servers.RedisPrefix}, store}
}

// set makes Redis the state that a log leads to.
func (d door) set(l *fcfs.Log) {
	d.double.t.Helper()
	keys, err := d.redis.Keys(context.Background(), d.prefix+":*").Result()
	if err != nil {
		d.double.t.Fatal(err)
	}
	if len(keys) > 0 {
		d.redis.Del(context.Background(), keys...)
	}
	d.logs = []*fcfs.Log{l}
	d.write(context.Background(), l)
}

func (d door) knock(t testing.TB, coupon, user, token string, heard int64, now fcfs.Millis) redisstore.Door {
	t.Helper()
	got, err := d.store.Admit(context.Background(), knockOf(coupon, user, token, heard, now))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func knockOf(coupon, user, token string, heard int64, now fcfs.Millis) redisstore.Knock {
	return redisstore.Knock{CouponID: coupon, UserID: user, Heard: heard, Token: token, Guard: time.Minute, Rules: verdict.RulesAt(now)}
}

const (
	hour     = verdicttest.Hour
	historyT = verdicttest.Began
)

// In any state, whoever is refused early would be refused by the log for the same reason if they were appended next, and
// nobody else is refused.
func TestDoor_AgreesWithTheLog(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	told := map[fcfs.Outcome]int{}
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 5))
		log := verdicttest.History(r, 40)
		for p := 0; p < len(log); p += 1 + r.IntN(4) {
			state, _ := verdicttest.Replay(log[:p+1])
			d.set(state)
			now := state.LogTime() + fcfs.Millis(r.Int64N(int64(3*hour)))
			for n, who := range []string{"c0/u0", "c0/u1", "c1/u2", "c1/u3", "c2/u0"} {
				coupon, user := who[:2], who[3:]
				next, _ := verdicttest.Replay(log[:p+1])
				want, _ := next.Claim(int64(p+1), now, coupon, user)
				got := d.knock(t, coupon, user, fmt.Sprint("?", n), int64(p), now)
				told[got.Refused]++
				near := false
				if c := state.Coupon(coupon); c != nil {
					inForce := c.Current()
					near = verdict.RulesAt(now)(&inForce).Near
				}
				if got.Held != "" || got.Refused == fcfs.None && want.Outcome != fcfs.Granted && !near ||
					got.Refused != fcfs.None && got.Refused != want.Outcome {
					t.Fatalf("seed %d, progress %d: %s is told %+v; the log would say %+v", seed, p, who, got, want)
				}
				if got.Refused == fcfs.AlreadyIssued && *got.Entry != want.Earlier {
					t.Fatalf("seed %d, progress %d: %s holds %+v, and is told %+v", seed, p, who, want.Earlier, *got.Entry)
				}
			}
		}
	}
	for _, o := range []fcfs.Outcome{fcfs.None, fcfs.AlreadyIssued, fcfs.SoldOut, fcfs.NotOpen, fcfs.Closed, fcfs.UnknownCoupon} {
		if told[o] < 20 {
			t.Errorf("%s was told only %d times: the histories are too tame", o, told[o])
		}
	}
}

// soldOut is a log in which a coupon of one is gone to user "winner".
func soldOut(window fcfs.Window) *fcfs.Log {
	l := fcfs.NewLog(0)
	l.Define(0, historyT, fcfs.Definition{CouponID: "c", Limit: 1, Window: window, TimeZone: "UTC", Rules: 1})
	l.Claim(1, historyT, "c", "winner")
	return l
}

func TestDoor_NoRefusalFromAnOldState(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.set(soldOut(fcfs.WindowNone))
	if got := d.knock(t, "c", "u1", "?1", 1, historyT); got.Refused != fcfs.SoldOut {
		t.Errorf("at the progress heard of: %+v", got)
	}
	if got := d.knock(t, "c", "u1", "?1", 2, historyT); got.Refused != fcfs.None || got.Held != "" {
		t.Errorf("below the progress heard of (the limit may have been raised there): %+v", got)
	}
	d.redis.Del(context.Background(), redislayout.New(d.prefix, 0).Progress())
	if got := d.knock(t, "c", "u2", "?2", 0, historyT); got.Refused != fcfs.None {
		t.Errorf("without progress: %+v", got)
	}
	d.set(fcfs.NewLog(0)) // progress "-1:0:0"
	if got := d.knock(t, "c", "u3", "?3", 1, historyT); got.Refused != fcfs.None {
		t.Errorf("rewound to the beginning: %+v", got)
	}
	if got := d.knock(t, "c", "u3", "?3", -1, historyT); got.Refused != fcfs.UnknownCoupon && got.Held == "" {
		t.Errorf("an empty log: %+v", got)
	}
}

func TestDoor_Near(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.set(soldOut(fcfs.WindowDaily))
	midnight := soldOut(fcfs.WindowDaily).Coupon("c").Current().DayEnd("2026-11-24")
	for i, c := range []struct {
		now  fcfs.Millis
		want fcfs.Outcome
	}{
		{midnight - 2001, fcfs.SoldOut}, {midnight - 2000, fcfs.None}, {midnight + 2000, fcfs.None}, {midnight + 2001, fcfs.None},
	} {
		if got := d.knock(t, "c", fmt.Sprint("u", i), "?1", 1, c.now); got.Refused != c.want {
			t.Errorf("%d ms from midnight: told %s, want %s", c.now-midnight, got.Refused, c.want)
		}
	}
}

func TestDoor_GuardIsOnlyItsOwners(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	ctx := context.Background()
	l := fcfs.NewLog(0)
	l.Define(0, historyT, fcfs.Definition{CouponID: "c", Limit: 100, Window: fcfs.WindowDaily, TimeZone: "UTC", Rules: 1})
	d.set(l)
	mine, other := knockOf("c", "u", "?mine", 0, historyT), knockOf("c", "u", "?other", 0, historyT)
	mine.Guard = 5 * time.Second
	guard := redislayout.New(d.prefix, 0).Guard("c", "2026-11-24", "u")
	at := redislayout.Ticket{Offset: 5, AppendTime: historyT}

	admit := func(k redisstore.Knock) redisstore.Door {
		t.Helper()
		got, err := d.store.Admit(ctx, k)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := admit(mine)
	if first.Held != "" || first.Window != "2026-11-24" {
		t.Fatalf("the first: %+v", first)
	}
	if left := d.redis.PTTL(ctx, guard).Val(); left <= 4*time.Second || left > 5*time.Second {
		t.Errorf("while appending the guard is taken for %s, want 5 s", left)
	}
	if again := admit(mine); again.Held != "" {
		t.Errorf("the same call made twice: %+v", again)
	}
	if got := admit(other); got.Held != "?mine" {
		t.Errorf("another: %+v", got)
	}
	tomorrow := knockOf("c", "u", "?tomorrow", 0, historyT+24*hour)
	if got := admit(tomorrow); got.Held != "" {
		t.Errorf("another window: %+v", got)
	}
	if err := d.store.Release(ctx, other, first.Window); err != nil || d.redis.Get(ctx, guard).Val() != "?mine" {
		t.Errorf("another's release: %v, the guard is %q", err, d.redis.Get(ctx, guard).Val())
	}
	if ok, err := d.store.Settle(ctx, other, first.Window, at, time.Minute, time.Hour); ok || err != nil || d.redis.Get(ctx, guard).Val() != "?mine" {
		t.Errorf("another's settlement: %v %v, the guard is %q", ok, err, d.redis.Get(ctx, guard).Val())
	}
	if ok, err := d.store.Settle(ctx, mine, first.Window, at, time.Minute, time.Hour); !ok || err != nil || d.redis.Get(ctx, guard).Val() != at.String() {
		t.Errorf("its own settlement: %v %v, the guard is %q", ok, err, d.redis.Get(ctx, guard).Val())
	}
	if left := d.redis.PTTL(ctx, guard).Val(); left <= 58*time.Second || left > time.Minute {
		t.Errorf("once the claim is in the log the guard is held for %s, want a minute", left)
	}
	if err := d.store.Release(ctx, mine, first.Window); err != nil || d.redis.Get(ctx, guard).Val() != at.String() {
		t.Errorf("a late release of its own: %v, the guard is %q", err, d.redis.Get(ctx, guard).Val())
	}
	if got := admit(other); got.Held != at.String() {
		t.Errorf("another, later: %+v", got)
	}
	admit(knockOf("c", "v", "?v", 0, historyT))
	if err := d.store.Release(ctx, knockOf("c", "v", "?v", 0, historyT), first.Window); err != nil {
		t.Fatal(err)
	}
	if got := admit(knockOf("c", "v", "?w", 0, historyT)); got.Held != "" {
		t.Errorf("after its release: %+v", got)
	}
}

// A person who is refused early holds no guard.
func TestDoor_RefusedHoldNoGuard(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.set(soldOut(fcfs.WindowNone))
	for _, user := range []string{"winner", "loser"} {
		if got := d.knock(t, "c", user, "?1", 1, historyT); got.Refused == fcfs.None {
			t.Fatalf("%s: %+v", user, got)
		}
	}
	d.knock(t, "nothing", "u", "?1", 1, historyT)
	if guards := d.redis.Keys(context.Background(), d.prefix+":*:guard:*").Val(); len(guards) != 0 {
		t.Errorf("guards %q", guards)
	}
}

// A limit that was raised counts for the very next claim, though the gateway remembers the definition before.
func TestDoor_DefinedAnew(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	l := soldOut(fcfs.WindowNone)
	d.set(l)
	if got := d.knock(t, "c", "u1", "?1", 1, historyT); got.Refused != fcfs.SoldOut {
		t.Fatalf("before: %+v", got)
	}
	l.Define(2, historyT, fcfs.Definition{CouponID: "c", Limit: 2, Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1})
	d.set(l)
	if got := d.knock(t, "c", "u1", "?1", 1, historyT); got.Refused != fcfs.None {
		t.Errorf("the limit was raised: %+v", got)
	}
	l.Define(3, historyT, fcfs.Definition{CouponID: "c", Limit: 2, Window: fcfs.WindowNone, TimeZone: "UTC", ClosesAt: historyT + hour, Rules: 1})
	d.set(l)
	if got := d.knock(t, "c", "u2", "?2", 3, historyT+2*hour); got.Refused != fcfs.Closed {
		t.Errorf("it closed: %+v", got)
	}
	if got := d.knock(t, "c", "u2", "?2", 3, historyT); got.Refused != fcfs.None {
		t.Errorf("it is still open: %+v", got)
	}
}

// A coupon whose state is damaged gets errors, and nobody who came at the same time does.
func TestDoor_DamagedCoupon(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	l := soldOut(fcfs.WindowNone)
	l.Define(2, historyT, fcfs.Definition{CouponID: "whole", Limit: 100, Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1})
	d.set(l)
	d.redis.HDel(context.Background(), redislayout.New(d.prefix, 0).Coupon("c"), redislayout.DefinitionField(0))
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			user := fmt.Sprint("u", i)
			if i%2 == 0 {
				if got, err := d.store.Admit(context.Background(), knockOf("c", user, "?"+user, 2, historyT)); err == nil {
					t.Errorf("the damaged one: %+v", got)
				}
				return
			}
			if got, err := d.store.Admit(context.Background(), knockOf("whole", user, "?"+user, 2, historyT)); err != nil || got.Refused != fcfs.None {
				t.Errorf("the whole one: %+v, %v", got, err)
			}
		})
	}
	all.Wait()
}
