//go:build chaos

package chaos

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/test/process"
)

// TestChaos breaks one system in round after round. What each is about is decided by -seed and its number.
func TestChaos(t *testing.T) {
	seed, kinds := chosenSeed(), chosenKinds(t)
	t.Logf("seed %d", seed)
	for _, k := range allKinds {
		if faults[k.Name] == nil {
			t.Fatalf("%s is planned, and there is no such fault", k.Name)
		}
	}
	w := newWorld(t, coupontest.StartAlone(t))
	var results []result
	for n := *from; n < *from+*rounds; n++ {
		plan := plan(seed, n, kinds)
		began := time.Now()
		got := w.round(plan)
		results = append(results, got)
		t.Logf("round %d, %s (%.0f s)", n, got, time.Since(began).Seconds())
		if !got.ok() {
			t.Errorf("round %d broke a promise; to see it again: make chaos ROUNDS=1 TESTFLAGS=\"-v -seed %d -from %d -rate %v -kinds '%s'\"",
				n, seed, n, *rate, *only)
		}
	}
	w.publish(fmt.Sprintf("%d rounds, seed %d, %.0f people a second", *rounds, seed, *rate), table(results))
}

// publish writes a table to the log and the report.
func (w *world) publish(title, table string) {
	w.t.Helper()
	versions, err := w.servers.Versions(w.t.Context())
	if err != nil {
		w.t.Error(err)
	}
	text := fmt.Sprintf("%s, on %v\n\n%s\n", title, versions, table)
	fmt.Println(text)
	if *report == "" {
		return
	}
	f, err := os.OpenFile(*report, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err != nil {
		w.t.Error(err)
	}
}

// round lets people ask, breaks something, makes it well, and judges.
func (w *world) round(r round) result {
	w.t.Helper()
	w.save()
	if r.Strikes[0].Quiet {
		return w.quietRound(r)
	}
	return w.loudRound(r, func(began time.Time) (time.Time, time.Duration) { return w.strikeAll(r, began) })
}

// loudRound breaks something while people ask. strike says when it struck, and for how long it was not mended.
func (w *world) loudRound(r round, strike func(began time.Time) (struck time.Time, down time.Duration)) result {
	w.t.Helper()
	got := result{Kind: r.Kind}
	c := w.ask(r)
	var struck time.Time
	struck, got.Down = strike(time.Now())
	w.ready()
	c.end()
	told := w.answers(c)
	got.Recovery, got.Silence = recovery(told.probes, struck)
	if asking := told.asking(struck); asking < 10 {
		w.t.Errorf("%s: only %d people asked after the fault", r.Kind, asking)
	}
	w.judge(&got, c, told)
	return got
}

// quietRound strikes when nobody asks any more.
func (w *world) quietRound(r round) result {
	w.t.Helper()
	got := result{Kind: r.Kind}
	c := w.ask(r)
	c.end()
	got.Recovery = w.rebuilt(c.probes, func() { faults[r.Kind](w, r.Chance) })
	w.judge(&got, c, w.answers(c))
	return got
}

// rebuilt is how long after a fault it takes until every coupon is told of again: then its partition has its state.
func (w *world) rebuilt(coupons []string, strike func()) time.Duration {
	w.t.Helper()
	began := time.Now()
	strike()
	for _, coupon := range coupons {
		url := w.gateways[0].Public + "/v1/coupons/" + coupon
		process.Eventually(w.t, func() bool {
			status, _ := process.Get(w.t, url, "")
			return status == http.StatusOK
		}, func() string { return coupon + " is not there again" })
	}
	return time.Since(began)
}

// judge compares everything with the log, and what a round's people were told.
func (w *world) judge(got *result, c *crowds, told told) {
	w.t.Helper()
	got.Differences = w.audit(c.files())
	if err := w.witness.read(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	j := judge{witness: w.witness, requestsTopic: w.kafka.Config().Topic(event.TopicRequests), key: process.ClaimIDKey}
	for _, coupon := range c.coupons() {
		j.store("the journal", coupon, w.witness.journal[coupon])
		j.store("Postgres", coupon, w.grants(coupon))
		got.Granted += len(w.witness.led[coupon])
	}
	j.answers(told.all)
	for i, sentence := range j.found {
		if i == 20 {
			w.t.Logf("… and %d more", len(j.found)-i)
			break
		}
		w.t.Log(sentence)
	}
	got.Claims, got.breaches, got.found = len(told.all), j.breaches, j.found
	for _, a := range told.all {
		got.LostAnswers += a.Lost
	}
}

// audit is how many differences the command finds, with these files of answers.
func (w *world) audit(files []string) int {
	w.t.Helper()
	args := []string{"audit", "--json"}
	for _, f := range files {
		args = append(args, "--answers", f)
	}
	out, code := process.Firstcome(w.t, w.env, args...)
	var report struct {
		OK          bool
		Differences []struct{ Place, Sentence string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.OK != (code == 0) {
		w.t.Errorf("audit exits with %d and says %s", code, process.Tail(out, 2000))
		return 1
	}
	for i, d := range report.Differences {
		if i == 20 {
			break
		}
		w.t.Logf("audit: %s: %s", d.Place, d.Sentence)
	}
	return len(report.Differences)
}
