package gateway

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

// slack is for a machine that others use too: it tells a second from the seconds of a deadline.
const slack = time.Second

type timed struct {
	since, took time.Duration // since the loss
	status      int
	problem     string
}

// claimsAfter lets a person claim every tenth of a second for so long, each a new one, and waits for all answers.
func (r *rig) claimsAfter(long time.Duration) []timed {
	r.t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	var answers []timed
	lost := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; time.Since(lost) < long; n++ {
		all.Go(func() {
			began := time.Now()
			got, err := try(r.service, claimRequest("tea", fmt.Sprint("late", n), ""))
			if err != nil {
				r.t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, timed{began.Sub(lost), time.Since(began), got.status, got.string("type")})
		})
		<-tick.C
	}
	all.Wait()
	return answers
}

// Redis is gone, or does not answer: also the very first claims are told within a second, and it recovers by itself.
func TestGateway_FirstClaimsAfterALoss(t *testing.T) {
	t.Parallel()
	for what, loss := range map[string]struct {
		need      coupontest.Need
		lose, end func(*coupontest.Servers, testing.TB, coupontest.Need)
		sent      time.Duration // until then a claim is sent, and has its own deadline
	}{
		"Redis is killed": {coupontest.Redis, (*coupontest.Servers).Kill, (*coupontest.Servers).Restart, 0},
		"Redis is paused": {coupontest.Redis, (*coupontest.Servers).Pause, (*coupontest.Servers).Resume, 0},
		"Kafka is killed": {coupontest.Kafka, (*coupontest.Servers).Kill, (*coupontest.Servers).Restart, shedAfter},
		"Kafka is paused": {coupontest.Kafka, (*coupontest.Servers).Pause, (*coupontest.Servers).Resume, shedAfter},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			servers := coupontest.StartAlone(t, coupontest.Kafka, coupontest.Redis)
			r := newRigOn(t, servers)
			r.put("tea", `{"limit":99}`).is(t, 201, "")
			r.claim("tea", "before", "wait=9").is(t, 200, "")
			loss.lose(servers, t, loss.need)
			sent := 0
			for _, a := range r.claimsAfter(3 * time.Second) {
				within := time.Second
				if a.since < loss.sent+200*time.Millisecond {
					sent++
					within = appendDeadline
				}
				if a.status != 503 || !strings.HasSuffix(a.problem, "unavailable") || a.took > within+slack {
					t.Errorf("%s after the loss: %d %s after %s, want 503 within %s", a.since, a.status, a.problem, a.took, within)
				}
			}
			if loss.sent > 0 && sent == 0 {
				t.Error("none was sent")
			}
			eventually(t, "it says what it waits for", func() bool {
				return strings.Contains(strings.Join(r.service.Ready(), " "), strings.ToLower(strings.Fields(what)[0]))
			})
			loss.end(servers, t, loss.need)
			r.Write()
			eventually(t, "it is ready again", func() bool { return len(r.service.Ready()) == 0 })
			eventually(t, "claims are taken again", func() bool { return r.claim("tea", "after", "wait=9").status == 200 })
		})
	}
}
