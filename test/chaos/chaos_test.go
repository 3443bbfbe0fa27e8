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
	w := newWorld(t, coupontest.StartAlone(t))
	var results []result
	for n := *from; n < *from+*rounds; n++ {
		plan := plan(seed, n, kinds)
		began := time.Now()
		got := w.round(plan)
		results = append(results, got)
		t.Logf("round %d, %s (%.0f s)", n, got, time.Since(began).Seconds())
		if !got.ok() {
			t.Errorf("round %d broke a promise; to see it again: make chaos SEED=%d FROM=%d ROUNDS=1 KINDS='%s'", n, seed, n, *only)
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
	began := time.Now()
	c := w.ask(r)
	got := result{Kind: r.Kind}
	var struck time.Time
	quiet := r.Strikes[0].Quiet
	if !quiet {
		struck, got.Down = w.strikeAll(r, began)
	}
	w.ready()
	c.end()
	if quiet {
		got.Recovery = w.quiet(r, c)
	}
	told := w.answers(c)
	if !quiet {
		got.Recovery, got.Silence = recovery(told.probes, struck)
	}
	w.judge(&got, c, told)
	return got
}

// quiet strikes when nobody asks. The recovery is until every partition answers about its coupons again.
func (w *world) quiet(r round, c *crowds) time.Duration {
	w.t.Helper()
	began := time.Now()
	if mend := faults[r.Kind](w, r.Chance); mend != nil {
		mend()
	}
	for i, coupon := range c.probes {
		url := w.gateways[i%len(w.gateways)].Public + "/v1/coupons/" + coupon
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
	got.Claims, got.breaches = len(told.all), j.breaches
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
