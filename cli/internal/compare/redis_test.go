package compare

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/cli/internal/local"
	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/pkg/coupontest/embedded"
)

func startRedis(t *testing.T) *redis.Client {
	t.Helper()
	server, err := embedded.StartRedis("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func keys(t *testing.T, client *redis.Client) string {
	return strings.Join(slices.Sorted(slices.Values(client.Keys(t.Context(), "*").Val())), " ")
}

const random = "ABCDEFGHIJKLMNOPQRSTUVWXY2"

// What a run wrote is emptied but for its mark; a key of anybody else stays, and is named.
func TestEmpty(t *testing.T) {
	client := startRedis(t)
	own := []string{
		"compare-abc:{7}:progress", "coupon:tea-" + random + ":issued", "lock:coupon:sale-" + random, "coupon:sale-" + random + "-no-12:fence",
		"coupon:sale-" + random + ":floor", "coupon:nothing:fence", "lock:coupon:nothing",
	}
	for _, foreign := range []string{
		"", "compare-abd:{7}:progress", "coupons", "coupon:tea:issued", "lock:coupon:tea", "coupon:tea-X:issued", "coupon:tea-" + random + "X:issued",
		"coupon:green-" + random + ":issued", "coupon:sale-" + random, "somebody's:coupon:nothing:fence",
	} {
		client.Set(t.Context(), mark, "compare-abc", 0)
		for _, key := range own {
			client.Set(t.Context(), key, "1", 0)
		}
		if foreign != "" {
			client.Set(t.Context(), foreign, "precious", 0)
		}
		err := empty(t.Context(), client, "compare-abc")
		if foreign == "" && err != nil || foreign != "" && (!errors.Is(err, errForeign) || !strings.Contains(err.Error(), foreign)) {
			t.Errorf("beside %q: %v", foreign, err)
		}
		want := []string{mark}
		if foreign != "" {
			want = append(want, foreign)
		}
		slices.Sort(want)
		if left := keys(t, client); left != strings.Join(want, " ") {
			t.Errorf("beside %q there are left %s", foreign, left)
		}
		client.FlushDB(t.Context())
	}
}

// Where a Redis was lost in earnest and another run has it by now, that one's coupons stay.
func TestEmpty_OfAnother(t *testing.T) {
	client := startRedis(t)
	client.Set(t.Context(), mark, "compare-abd", 0)
	client.Set(t.Context(), "compare-abc:{7}:progress", "1", 0)
	theirs := "coupon:tea-" + random + ":issued"
	client.Set(t.Context(), theirs, "1", 0)
	if err := empty(t.Context(), client, "compare-abc"); !errors.Is(err, errForeign) {
		t.Errorf("it says %v", err)
	}
	if left := keys(t, client); left != theirs+" "+mark {
		t.Errorf("there are left %s", left)
	}
}

// A Redis is that of one run, from the moment it is taken until everything is given back, also while it is empty.
func TestKeeper_TakeRedis(t *testing.T) {
	client := startRedis(t)
	one, two, three := newKeeper(client, "compare-one"), newKeeper(client, "compare-two"), newKeeper(client, "compare-three")
	if _, err := one.takeRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := empty(t.Context(), client, "compare-one"); err != nil {
		t.Fatal(err)
	}
	client.Set(t.Context(), "compare-one:{7}:progress", "1", 0)
	if _, err := two.takeRedis(t.Context()); err == nil || !strings.Contains(err.Error(), "is that of another compare, compare-one: wait for its end") {
		t.Errorf("while another has it: %v", err)
	}
	if err := two.close(); err != nil {
		t.Error(err)
	}
	if left := keys(t, client); left != "compare-one:{7}:progress "+mark {
		t.Errorf("the second has left the first: %s", left)
	}
	if err := one.close(); err != nil {
		t.Error(err)
	}
	if left := keys(t, client); left != "" {
		t.Errorf("after all there are left: %s", left)
	}
	if _, err := three.takeRedis(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if err := three.close(); err != nil {
		t.Error(err)
	}
}

func newKeeper(client *redis.Client, run string) *keeper {
	addr := client.Options().Addr
	return &keeper{
		Place: Place{Redis: addr, RedisPrefix: run}, given: Given{Redis: addr},
		servers: &local.Servers{Redis: env.Redis{Addr: []string{addr}, Mode: "single", Prefix: run}},
	}
}
