//go:build chaos

package chaos

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

// The broker stands still for 30 s under load: everybody who asks meanwhile has an answer by the gateway's deadline, nearly
// all of them at once; those who came again are served, nobody twice.
func TestPaused(t *testing.T) {
	w := newWorld(t, coupontest.StartAlone(t))
	const (
		still    = 30 * time.Second
		deadline = 4 * time.Second // of an append
		slack    = 4 * time.Second // of a machine that does other things
	)
	ramp := w.newRamp(w.gateways[0])
	var told *answers
	r := round{Number: 1, Kind: "broker paused for 30 s", Moment: 2 * time.Second, Change: 3 * time.Second, HotShare: 0.5, Traffic: 2*time.Second + still + settle}
	got := w.loudRound(r, func(began time.Time) (time.Time, time.Duration) {
		w.pause(began.Add(r.Moment))
		struck := time.Now()
		w.servers.Pause(t, coupontest.Kafka)
		told = ramp.offer(100, still)
		w.servers.Resume(t, coupontest.Kafka)
		return struck, time.Since(struck)
	})
	t.Log(got)
	if !got.ok() {
		t.Error("a promise was broken")
	}
	all := append(slices.Clone(told.accepted), told.shed...)
	if told.lost > 0 || slices.Max(all) > deadline+slack {
		t.Errorf("%d people had no answer, and one waited for %v", told.lost, slices.Max(all))
	}
	w.publish("The broker stands still for 30 s", figures(
		figure{"people who ask meanwhile and have no answer", "0", fmt.Sprint(told.lost)},
		figure{"people who ask meanwhile", "", fmt.Sprint(len(all))},
		figure{"half of them have their answer within", "at once", quantile(all, 0.5)},
		figure{"99 of 100", "", quantile(all, 0.99)},
		figure{"all of them", "4 s", quantile(all, 1)},
		figure{"differences and breaches", "0", fmt.Sprint(got.Differences + len(got.found))},
	))
}
