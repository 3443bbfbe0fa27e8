package gateway

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway/internal/redisstore"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

// keys are those of a kind, "guard" or "idem", of all partitions.
func (d *double) keys(kind string) []string {
	d.t.Helper()
	keys, err := d.redis.Keys(context.Background(), d.prefix+":*:"+kind+":*").Result()
	if err != nil {
		d.t.Fatal(err)
	}
	return keys
}

// expire ends the time to live of all keys of a kind, of which there are some.
func (d *double) expire(kind string) {
	d.t.Helper()
	keys := d.keys(kind)
	if len(keys) == 0 {
		d.t.Fatalf("there is no %s key to run out", kind)
	}
	for _, key := range keys {
		if err := d.redis.PExpire(context.Background(), key, 0).Err(); err != nil {
			d.t.Fatal(err)
		}
	}
}

// left is how long the one key of a kind has still to live.
func (d *double) left(kind string) time.Duration {
	d.t.Helper()
	keys := d.keys(kind)
	if len(keys) != 1 {
		d.t.Fatalf("%s keys %q, want one", kind, keys)
	}
	return d.redis.PTTL(context.Background(), keys[0]).Val()
}

// atOnce lets so many ask at the same time, and counts what they are told.
func atOnce(many int, ask func(i int) string) map[string]int {
	var all sync.WaitGroup
	var mu sync.Mutex
	told := map[string]int{}
	start := make(chan struct{})
	for i := range many {
		all.Go(func() {
			<-start
			what := ask(i)
			mu.Lock()
			defer mu.Unlock()
			told[what]++
		})
	}
	close(start)
	all.Wait()
	return told
}

func (d door) guarded(window fcfs.Window) {
	l := fcfs.NewLog(0)
	l.Define(0, historyT, fcfs.Definition{CouponID: "c", Limit: 1000, Window: window, TimeZone: "UTC", Rules: 1})
	d.set(l)
}

// clicks is what so many claims with a token each are told.
func (d door) clicks(many int, user func(i int) string, now func(i int) fcfs.Millis) map[string]int {
	return atOnce(many, func(i int) string {
		got, err := d.store.Admit(context.Background(), knockOf("c", user(i), fmt.Sprint("?", i), 0, now(i)))
		switch {
		case err != nil:
			return err.Error()
		case got.Held != "":
			return "held"
		case got.Refused != fcfs.None:
			return got.Refused.String()
		}
		return "passes"
	})
}

func same(user string) func(int) string          { return func(int) string { return user } }
func each(prefix string) func(int) string        { return func(i int) string { return fmt.Sprint(prefix, i) } }
func always(t fcfs.Millis) func(int) fcfs.Millis { return func(int) fcfs.Millis { return t } }

func TestDoor_Guard(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.guarded(fcfs.WindowDaily)
	tell := func(t *testing.T, got map[string]int, passes, held int) {
		t.Helper()
		if got["passes"] != passes || got["held"] != held || passes+held != sum(got) {
			t.Errorf("%v, want %d that pass and %d that are held", got, passes, held)
		}
	}
	t.Run("ten at once", func(t *testing.T) { tell(t, d.clicks(10, same("u"), always(historyT)), 1, 9) })
	t.Run("after its time one passes again", func(t *testing.T) {
		d.expire("guard")
		tell(t, d.clicks(10, same("u"), always(historyT)), 1, 9)
	})
	t.Run("different people", func(t *testing.T) { tell(t, d.clicks(10, each("u"), always(historyT)), 10, 0) })
	t.Run("different windows", func(t *testing.T) {
		tell(t, d.clicks(10, same("v"), func(i int) fcfs.Millis { return historyT + fcfs.Millis(i)*24*hour }), 10, 0)
	})
	t.Run("a hundred at once", func(t *testing.T) {
		began := time.Now()
		tell(t, d.clicks(100, same("w"), always(historyT)), 1, 99)
		t.Logf("a hundred clicks at the door took %s", time.Since(began))
	})
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

const (
	granted   = "200 "
	duplicate = "409 https://firstcome.dev/problems/duplicate-request"
)

// posts is what so many claims over HTTP are told, at the gateways in turn.
func posts(many int, user func(i int) string, at ...*Service) map[string]int {
	return atOnce(many, func(i int) string {
		got, err := try(at[i%len(at)], claimRequest("box", user(i), "wait=30"))
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%d %s", got.status, got.string("type"))
	})
}

func threePosts(s *Service, user string) map[string]int {
	begin := []chan struct{}{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	go func() {
		tick := time.NewTicker(500 * time.Microsecond)
		defer tick.Stop()
		for _, b := range begin {
			<-tick.C
			close(b)
		}
	}()
	return posts(3, func(i int) string { <-begin[i]; return user }, s)
}

func TestGateway_Guard(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	second, _ := startGateway(t, r.servers)
	eventually(t, "a second gateway is ready", func() bool { return len(second.Ready()) == 0 })
	r.put("box", `{"limit":100}`).is(t, 201, "")
	tell := func(t *testing.T, got map[string]int, passes, held int) {
		t.Helper()
		if got[granted] != passes || got[duplicate] != held || passes+held != sum(got) {
			t.Errorf("%v, want %d grants and %d duplicates", got, passes, held)
		}
	}
	t.Run("ten at once", func(t *testing.T) { tell(t, posts(10, same("device-431593247"), r.service), 1, 9) })
	t.Run("ten at once at two gateways", func(t *testing.T) { tell(t, posts(10, same("device-2"), r.service, second), 1, 9) })
	t.Run("after its time it is already issued", func(t *testing.T) {
		r.claim("box", "device-431593247", "wait=9").is(t, 409, "duplicate-request")
		r.expireGuards()
		r.claim("box", "device-431593247", "wait=9").is(t, 409, "already-issued")
	})
	t.Run("different people", func(t *testing.T) { tell(t, posts(10, each("u"), r.service, second), 10, 0) })
	t.Run("different coupons", func(t *testing.T) {
		r.put("other", `{"limit":100}`).is(t, 201, "")
		r.claim("other", "device-431593247", "wait=9").is(t, 200, "")
	})
	t.Run("a hundred at once", func(t *testing.T) {
		began := time.Now()
		tell(t, posts(100, same("device-3"), r.service), 1, 99)
		t.Logf("a hundred clicks over HTTP took %s", time.Since(began))
	})
	t.Run("three posts half a millisecond apart", func(t *testing.T) {
		for i := range 10 {
			tell(t, threePosts(r.service, fmt.Sprint("phone-", i)), 1, 2)
		}
	})
	if got := len(r.records(event.Partition("box", parts))); got != 1+23 {
		t.Errorf("the log has %d records, want the definition and 23 claims", got)
	}
}

// Whatever becomes of those who came later, or of its own connection: the first to arrive passes.
func TestGateway_FirstToArrivePasses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("box", `{"limit":100}`).is(t, 201, "")
	p := event.Partition("box", parts)
	t.Run("the others go away", func(t *testing.T) {
		goOn := r.Hold()
		defer goOn()
		var all sync.WaitGroup
		var first reply
		all.Go(func() { first, _ = try(r.service, claimRequest("box", "u1", "wait=20")) })
		eventually(t, "the first is at the door", func() bool { return len(r.keys("guard")) == 1 })
		for range 5 {
			ctx, leave := context.WithCancel(t.Context())
			all.Go(func() {
				if got, err := tryContext(ctx, r.service, claimRequest("box", "u1", "wait=20")); err == nil {
					got.is(t, 409, "duplicate-request")
				}
			})
			leave()
		}
		eventually(t, "the claim is in the log", func() bool { return r.ends()[p] == 2 })
		goOn()
		all.Wait()
		first.is(t, 200, "")
		r.claim("box", "u1", "").is(t, 409, "duplicate-request")
	})
	t.Run("its person goes away", func(t *testing.T) {
		gone, leave := context.WithCancel(t.Context())
		leave()
		passed, err := r.service.take(gone, r.service.requests.Load(), ticketOf("box", "u2"), redisstore.Idempotency{})
		if err != nil {
			t.Fatal(err)
		}
		later := r.claim("box", "u2", "").is(t, 409, "duplicate-request")
		if want := r.service.sealer.Seal(passed.ticket); later.string("claim_id") != want {
			t.Errorf("the next is told claim %q, want %q", later.string("claim_id"), want)
		}
	})
}

func ticketOf(coupon, user string) verdict.Ticket {
	return verdict.Ticket{Partition: event.Partition(coupon, parts), CouponID: coupon, UserID: user}
}

// A gateway that dies between the guard and the append keeps a person waiting for five seconds at most.
func TestGateway_KilledBeforeTheAppend(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("box", `{"limit":100}`).is(t, 201, "")
	withKey := claimRequest("box", "u", "wait=9")
	withKey.header.Set("Idempotency-Key", "k1")
	i := idempotency("k1", "token:shop", "box", "u")
	if _, err := r.service.admit(t.Context(), r.service.requests.Load(), ticketOf("box", "u"), i); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"guard", "idem"} {
		if left := r.left(kind); left <= 0 || left > 5*time.Second {
			t.Errorf("the %s key is left behind for %s", kind, left)
		}
	}
	for what, q := range map[string]request{"a click": claimRequest("box", "u", ""), "the same key": withKey} {
		got := r.do(q).is(t, http.StatusConflict, "duplicate-request")
		if got.string("claim_id") != "" || got.header.Get("Retry-After") != "1" {
			t.Errorf("%s meanwhile: Retry-After %q, %s", what, got.header.Get("Retry-After"), got.text)
		}
	}
	r.expire("guard")
	r.expire("idem")
	r.do(withKey).is(t, 200, "")
}
