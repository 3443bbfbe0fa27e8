//go:build chaos

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/test/process"
)

var (
	inFlight = flag.Int("in-flight", 200, "MAX_IN_FLIGHT of the gateway that is ramped up")
	kafkaHas = flag.Float64("broker", 0.4, "processors that Kafka has then, so that the log is what cannot take more, and not this machine")
	step     = flag.Duration("step", 10*time.Second, "how long each rate of the ramp is kept")
)

// mostAtOnce bounds who asks at the same time, each on a connection: whoever it lets wait is sent late.
const mostAtOnce = 4000

// TestRamp offers one gateway up to three times the claims that it can take, whatever it answers, and writes down what it
// took, what it turned away, and how long either lasted. That is measured and never asserted, and so are connections that a
// machine with more to do than it can loses; what fails the test is an answer that is none of the two, a refusal that does
// not say when to come again, or a broken promise.
func TestRamp(t *testing.T) {
	w := newWorld(t, coupontest.StartAlone(t))
	for _, g := range w.gateways { // one alone is asked, and has the machine
		g.Kill()
	}
	env := append(w.env[:len(w.env):len(w.env)], fmt.Sprint("MAX_IN_FLIGHT=", *inFlight))
	g := w.logged(process.Start(t, "gateway", env))
	g.WaitReady(t)
	w.gateways, w.doors = []*process.Process{g}, []*process.Process{g}
	r := w.newRamp(g)
	w.servers.Throttle(t, coupontest.Kafka, *kafkaHas)
	capacity := r.capacity()
	rows := []string{"offered/s (× capacity) | accepted/s | p50 | p99 | turned away/s | p50 | p99 | sent late, p99 | lost", "---|---|---|---|---|---|---|---|---"}
	for _, times := range []float64{0.25, 0.5, 0.75, 1, 1.5, 2, 3} {
		rows = append(rows, r.offer(capacity*times, *step).row(times))
	}
	rows = append(rows, r.offer(capacity*0.25, *step).row(0.25)) // and all is as before
	for i, row := range rows {
		rows[i] = "| " + row + " |"
	}
	w.publish(fmt.Sprintf("Ramp: one gateway, MAX_IN_FLIGHT %d, Kafka with %v processors: %.0f claims a second", *inFlight, *kafkaHas, capacity), strings.Join(rows, "\n"))
	if n := w.audit(nil); n > 0 {
		t.Errorf("audit: %d differences", n)
	}
	if taken := w.requests(); taken < r.accepted {
		t.Errorf("%d claims were told that they are taken, and the log has %d", r.accepted, taken)
	}
}

// requests is how many claims the log has.
func (w *world) requests() (n int64) {
	w.t.Helper()
	ends, err := w.kafka.Ends(w.t.Context(), w.kafka.Config().Topic("coupon.requests"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, end := range ends {
		n += end
	}
	return n
}

// ramp is people who each ask once, and take the answer.
type ramp struct {
	t        *testing.T
	url      string
	client   *http.Client
	coupons  []string
	asking   chan struct{}
	people   int
	accepted int64
}

// answers are those of one rate.
type answers struct {
	rate           float64
	took           time.Duration
	mu             sync.Mutex
	accepted, shed []time.Duration // from when the request was sent to the answer
	late           []time.Duration // from when the person was due to then, which is the doing of this machine, not of the gateway
	lost           int             // without an answer
}

// capacity is what the gateway takes a second of people of whom the next asks as one has an answer.
func (r *ramp) capacity() float64 {
	r.t.Helper()
	var a answers
	ctx, cancel := context.WithTimeout(r.t.Context(), *step)
	defer cancel()
	began := time.Now()
	people := make(chan int)
	var all sync.WaitGroup
	for range *inFlight { // the log takes more a second the more there are, as they share its batches
		all.Go(func() {
			for n := range people {
				r.ask(&a, n, time.Now())
			}
		})
	}
	for ctx.Err() == nil {
		r.people++
		people <- r.people
	}
	close(people)
	all.Wait()
	r.accepted += int64(len(a.accepted))
	if len(a.accepted) == 0 {
		r.t.Fatal("nothing is taken")
	}
	return float64(len(a.accepted)) / time.Since(began).Seconds()
}

// newRamp lets people ask one gateway, for a coupon with room for all in each partition.
func (w *world) newRamp(g *process.Process) *ramp {
	w.t.Helper()
	r := &ramp{t: w.t, url: g.Public, asking: make(chan struct{}, mostAtOnce),
		client: &http.Client{Timeout: giveUp, Transport: &http.Transport{MaxIdleConnsPerHost: mostAtOnce}}}
	for p := range partitions {
		coupon := inPartition(int32(p), "ramp")
		w.define(coupon, `{"limit":100000000}`)
		r.coupons = append(r.coupons, coupon)
	}
	return r
}

// offer lets people come at a rate for so long, however long the others wait, and returns when all have their answer.
func (r *ramp) offer(rate float64, long time.Duration) *answers {
	r.t.Helper()
	a := &answers{rate: rate}
	began := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var all sync.WaitGroup
	for sent := 0; time.Since(began) < long; <-tick.C {
		for ; float64(sent) < rate*time.Since(began).Seconds(); sent++ {
			due := began.Add(time.Duration(float64(sent) / rate * float64(time.Second)))
			r.people++
			n := r.people
			all.Go(func() { r.ask(a, n, due) })
		}
	}
	a.took = time.Since(began)
	all.Wait()
	r.accepted += int64(len(a.accepted))
	return a
}

func (r *ramp) ask(a *answers, person int, due time.Time) {
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+"/v1/coupons/"+r.coupons[person%len(r.coupons)]+"/claims",
		strings.NewReader(fmt.Sprintf(`{"user_id":"ramp-%08d"}`, person)))
	if err != nil {
		r.t.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+process.ClaimSecret)
	req.Header.Set("Content-Type", "application/json")
	r.asking <- struct{}{}
	sent := time.Now()
	res, body, err := r.do(req)
	took := time.Since(sent)
	<-r.asking
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		if a.lost++; a.lost == 1 {
			r.t.Log(err)
		}
		return
	}
	if res.StatusCode == http.StatusServiceUnavailable {
		err = turnedAway(res.Header, body)
	} else if res.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("answered %s: %s", res.Status, body)
	}
	if err != nil {
		r.t.Error(err)
		return
	}
	a.late = append(a.late, sent.Sub(due))
	if res.StatusCode == http.StatusAccepted {
		a.accepted = append(a.accepted, took)
	} else {
		a.shed = append(a.shed, took)
	}
}

func (r *ramp) do(req *http.Request) (*http.Response, []byte, error) {
	res, err := r.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, body, err
}

func turnedAway(h http.Header, body []byte) error {
	var problem struct{ Type string }
	if err := json.Unmarshal(body, &problem); err != nil {
		return err
	}
	if h.Get("Retry-After") == "" || !strings.HasSuffix(problem.Type, "/unavailable") {
		return errors.New("turned away without saying when to come again")
	}
	return nil
}

func (a *answers) row(times float64) string {
	perSecond := func(d []time.Duration) float64 { return float64(len(d)) / a.took.Seconds() }
	return fmt.Sprintf("%.0f (%.2f) | %.0f | %s | %s | %.0f | %s | %s | %s | %d", a.rate, times,
		perSecond(a.accepted), quantile(a.accepted, 0.5), quantile(a.accepted, 0.99),
		perSecond(a.shed), quantile(a.shed, 0.5), quantile(a.shed, 0.99), quantile(a.late, 0.99), a.lost)
}

func quantile(d []time.Duration, q float64) string {
	if len(d) == 0 {
		return "–"
	}
	slices.Sort(d)
	return fmt.Sprintf("%.0f ms", float64(d[int(q*float64(len(d)-1))])/float64(time.Millisecond))
}
