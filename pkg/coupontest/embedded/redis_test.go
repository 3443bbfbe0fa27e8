package embedded

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestRedis(t *testing.T) {
	r, err := StartRedis("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { r.Close() }()
	client := redis.NewClient(&redis.Options{Addr: r.Addr()})
	defer client.Close()
	exists := func(key string) bool { return client.Exists(t.Context(), key).Val() == 1 }

	client.Set(t.Context(), "guard", "1", 3*agingEvery)
	client.Set(t.Context(), "progress", "1", 0)
	if !exists("guard") {
		t.Fatal("a key with a time-out went at once")
	}
	eventually(t, "the key's time-out", func() bool { return !exists("guard") })
	if !exists("progress") {
		t.Fatal("a key without a time-out went")
	}

	addr := r.Addr()
	r.Close()
	if r, err = StartRedis(addr); err != nil {
		t.Fatal(err)
	}
	if exists("progress") {
		t.Fatal("it did not come back empty")
	}
	client.Set(t.Context(), "progress", "2", 0)
	r.FlushAll()
	if exists("progress") {
		t.Fatal("a key outlived FlushAll")
	}
}

// eventually waits until it is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		case <-tick.C:
		}
	}
}
