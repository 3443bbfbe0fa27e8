package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/services/gateway/internal/redisstore"
)

// The key is taken with the guard, becomes the claim's place with it, and is given up with it; each only by its own claim.
func TestDoor_IdempotencyKeyIsOnlyItsOwners(t *testing.T) {
	t.Parallel()
	d, ctx := newDoor(t), context.Background()
	d.guarded(fcfs.WindowNone)
	claim := func(key, user, token string) redisstore.Knock {
		k := knockOf("c", user, token, 0, historyT)
		k.Guard, k.Idempotency = 5*time.Second, idempotency(key, "token:shop", "c", user)
		return k
	}
	admit := func(k redisstore.Knock) redisstore.Door {
		t.Helper()
		got, err := d.store.Admit(ctx, k)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	holds := func(k redisstore.Knock, want string) {
		t.Helper()
		got := d.redis.Get(ctx, redislayout.New(d.prefix, 0).Idempotency(k.Idempotency.Key)).Val()
		if want != "" {
			want = k.Idempotency.Request + ":" + want
		}
		if got != want {
			t.Errorf("the key holds %q, want %q", got, want)
		}
	}
	mine, other, reused := claim("k", "u", "?mine"), claim("k", "u", "?other"), claim("k", "v", "?v")
	at := redislayout.Ticket{Offset: 5, AppendTime: historyT}

	if got := admit(mine); got.Held != "" || got.Remembered != nil {
		t.Fatalf("the first: %+v", got)
	}
	holds(mine, "?mine")
	if left := d.left("idem"); left <= 4*time.Second || left > 5*time.Second {
		t.Errorf("while appending the key is taken for %s, want 5 s", left)
	}
	if again := admit(mine); again.Held != "" || again.Remembered != nil {
		t.Errorf("the same call made twice: %+v", again)
	}
	for _, k := range []redisstore.Knock{other, reused} {
		if got := admit(k); got.Remembered == nil || got.Remembered.Pending != "?mine" || got.Remembered.Request != mine.Idempotency.Request {
			t.Errorf("another with the same key: %+v", got)
		}
		if err := d.store.Release(ctx, k, ""); err != nil {
			t.Fatal(err)
		}
		holds(mine, "?mine")
		if _, err := d.store.Settle(ctx, k, "", at, time.Minute, 24*time.Hour); err != nil {
			t.Fatal(err)
		}
		holds(mine, "?mine")
	}
	if ok, err := d.store.Settle(ctx, mine, "", at, time.Minute, 24*time.Hour); !ok || err != nil {
		t.Fatal(ok, err)
	}
	holds(mine, at.String())
	if left := d.left("idem"); left <= 23*time.Hour || left > 24*time.Hour {
		t.Errorf("once the claim is in the log the key is remembered for %s, want a day", left)
	}
	if got := admit(other); got.Remembered == nil || got.Remembered.Ticket != at || got.Progress.Offset != 0 {
		t.Errorf("the same again: %+v", got)
	}
	if err := d.store.Release(ctx, mine, ""); err != nil {
		t.Fatal(err)
	}
	holds(mine, at.String())
	if got := admit(claim("another key", "u", "?x")); got.Held != at.String() {
		t.Errorf("the same person with another key: %+v", got)
	}
	holds(claim("another key", "u", "?x"), "")

	failed := claim("f", "w", "?f")
	admit(failed)
	holds(failed, "?f")
	if err := d.store.Release(ctx, failed, ""); err != nil {
		t.Fatal(err)
	}
	holds(failed, "")
	if got := admit(claim("f", "w", "?again")); got.Held != "" || got.Remembered != nil {
		t.Errorf("after it was given up: %+v", got)
	}
}

// Who is refused early leaves no key behind.
func TestDoor_RefusedLeaveNoKey(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.set(soldOut(fcfs.WindowNone))
	for _, user := range []string{"winner", "loser"} {
		k := knockOf("c", user, "?1", 1, historyT)
		k.Idempotency = idempotency("k", "token:shop", "c", user)
		if got, err := d.store.Admit(context.Background(), k); err != nil || got.Refused == fcfs.None {
			t.Fatalf("%s: %+v, %v", user, got, err)
		}
	}
	if keys := d.keys("idem"); len(keys) != 0 {
		t.Errorf("keys %q", keys)
	}
}

// Memory: what an idempotency key costs in Redis until it runs out. One is left behind by a claim that was appended, never
// by one that was refused at the door.
func TestDoor_IdempotencyKeyMemory(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.guarded(fcfs.WindowNone)
	k := knockOf("c", "u", newToken(), 0, historyT)
	k.Idempotency = idempotency(strings.Repeat("k", maxIdempotencyKey), "token:shop", "c", "u")
	if _, err := d.store.Admit(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	at := redislayout.Ticket{Offset: 1<<48 - 1, AppendTime: fcfs.MaxTime}
	if _, err := d.store.Settle(t.Context(), k, "", at, time.Minute, rememberFor); err != nil {
		t.Fatal(err)
	}
	key := d.keys("idem")[0]
	if longest := redislayout.New("fc", fcfs.MaxPartitions-1).Idempotency(k.Idempotency.Key); len(longest) > 50 {
		t.Errorf("the key %s is long", longest)
	}
	bytes, err := d.redis.MemoryUsage(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s and its value take %d bytes", key, bytes)
	if bytes > 256 {
		t.Errorf("an idempotency key costs %d bytes, want 256 at most", bytes)
	}
}
