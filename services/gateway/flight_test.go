package gateway

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
)

func TestFlight(t *testing.T) {
	f := newFlight(2)
	first, _ := f.Enter()
	_, second := f.Enter()
	if _, third := f.Enter(); !second || third || f.Count() != 2 {
		t.Errorf("of two places the second is given: %v, the third: %v, taken: %d", second, third, f.Count())
	}
	first()
	if f.Count() != 1 {
		t.Errorf("%d places are taken", f.Count())
	}
	if _, again := f.Enter(); !again {
		t.Error("a place that was given back is not given")
	}
}

// While the log does not answer, no more than the bound wait for it; whoever comes then is told at once.
func TestGateway_InFlight(t *testing.T) {
	t.Parallel()
	const bound = 3
	servers := coupontest.StartAlone(t, coupontest.Kafka, coupontest.Redis)
	r := newRigOn(t, servers, func(c *Config) { c.MaxInFlight = bound })
	r.put("tea", `{"limit":99}`).is(t, 201, "")
	r.claim("tea", "u0", "wait=9").is(t, 200, "")
	servers.Pause(t, coupontest.Kafka)
	var waiting sync.WaitGroup
	for i := range bound {
		waiting.Go(func() {
			if _, err := try(r.service, claimRequest("tea", fmt.Sprint("first", i), "")); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all places are taken", func() bool { return r.service.flight.Count() == bound })
	busy := r.service.metrics.claims.WithLabelValues("busy")
	before := testutil.ToFloat64(busy)
	began := time.Now()
	got := r.claim("tea", "late", "wait=9").is(t, 503, "unavailable")
	if took := time.Since(began); took > shedAfter/2 || got.header.Get("Retry-After") != "1" {
		t.Errorf("turned away after %s, Retry-After %q", took, got.header.Get("Retry-After"))
	}
	if testutil.ToFloat64(busy) != before+1 {
		t.Error("it is not counted")
	}
	r.get("/v1/coupons/tea").is(t, 200, "") // reading takes no place
	servers.Resume(t, coupontest.Kafka)
	waiting.Wait()
	if n := r.service.flight.Count(); n != 0 {
		t.Errorf("%d places are never given back", n)
	}
	eventually(t, "claims are taken again", func() bool { return r.claim("tea", "late", "wait=9").status == 200 })
}

// Who waits for an outcome takes no place, and neither does a body that does not arrive.
func TestGateway_WaitersTakeNoPlace(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxInFlight = 1 })
	r.put("tea", `{"limit":99}`).is(t, 201, "")
	slow, err := net.Dial("tcp", r.service.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	const body = `{"user_id":"slow"}`
	fmt.Fprintf(slow, "POST /v1/coupons/tea/claims HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		claimToken, len(body), body[:5])

	goOn := r.Hold()
	defer goOn()
	var waiting sync.WaitGroup
	const people = 5
	for i := range people {
		waiting.Go(func() {
			got, err := try(r.service, claimRequest("tea", fmt.Sprint("u", i), "wait=20"))
			if err != nil {
				t.Error(err)
				return
			}
			got.is(t, 200, "")
		})
		eventually(t, "the claim is in the log", func() bool { return r.ends()[event.Partition("tea", parts)] == int64(2+i) })
		eventually(t, "its place is free", func() bool { return r.service.flight.Count() == 0 })
	}
	goOn()
	waiting.Wait()

	fmt.Fprint(slow, body[5:])
	res, err := http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil || res.StatusCode != http.StatusAccepted {
		t.Errorf("the slow one is answered %v, %v", res, err)
	}
	if got := strings.Join(r.service.Ready(), " "); got != "" {
		t.Errorf("waits for %s", got)
	}
}
