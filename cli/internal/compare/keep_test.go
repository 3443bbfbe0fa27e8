package compare

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/pkg/coupontest/embedded"
)

// What a run wrote is emptied; a key of anybody else stays, and is named.
func TestEmpty(t *testing.T) {
	server, err := embedded.StartRedis("")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	own := []string{"compare-abc:{7}:progress", "coupon:tea-X:issued", "lock:coupon:tea-X"}
	for _, foreign := range []string{"", "compare-abd:{7}:progress", "coupons"} {
		for _, key := range own {
			client.Set(t.Context(), key, "1", 0)
		}
		if foreign != "" {
			client.Set(t.Context(), foreign, "precious", 0)
		}
		err := empty(t.Context(), client, "compare-abc")
		if foreign == "" && err != nil || foreign != "" && (err == nil || !strings.Contains(err.Error(), foreign)) {
			t.Errorf("beside %q: %v", foreign, err)
		}
		if left := strings.Join(client.Keys(t.Context(), "*").Val(), " "); left != foreign {
			t.Errorf("beside %q there are left %s", foreign, left)
		}
		client.FlushDB(t.Context())
	}
}
