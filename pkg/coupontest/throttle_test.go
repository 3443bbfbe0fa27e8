package coupontest

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// A server that has a quarter of a processor needs at least twice as long for something as its processor time.
func TestThrottle(t *testing.T) {
	s := StartAlone(t, Redis)
	if err := s.own(t, Redis).slow(t.Context(), 0.25); s.Kind != containersKind.name {
		if err == nil || !strings.Contains(err.Error(), "only one server in a container") {
			t.Errorf("got %v", err)
		}
		return
	} else if err != nil {
		t.Fatal(err)
	}
	client := s.Redis(t)
	used := func() time.Duration {
		_, value, _ := strings.Cut(client.Info(t.Context(), "cpu").Val(), "used_cpu_user:")
		value, _, _ = strings.Cut(value, "\r")
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(seconds * float64(time.Second))
	}
	before, began := used(), time.Now()
	if err := client.Eval(t.Context(), "for i = 1, 30000000 do end", nil).Err(); err != nil && err.Error() != "redis: nil" {
		t.Fatal(err)
	}
	took := time.Since(began)
	if processor := used() - before; took < 2*processor || processor <= 0 {
		t.Errorf("it took %v for %v of its processor's time", took, processor)
	}
}
