//go:build chaos

package chaos

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/test/process"
)

// crowds are those who ask in a round, each crowd for its own coupon.
type crowds struct {
	w       *world
	all     []*crowd
	probes  []string      // coupons with room for all, one in each partition
	changed chan struct{} // closed once the limit of the changing coupon is another
}

// crowd is one of them.
type crowd struct {
	coupon string
	load   *process.Load
	exact  bool // the command can judge it: the limit stays what it was
}

// How the people of a round are shared out. A quarter of the claims are probes.
const (
	hotShare      = 0.4
	dailyShare    = 0.15
	changingShare = 0.2
	probeShare    = 0.25 / partitions
)

// giveUp is longer than a server takes to start on a slow machine: who gives up was not served, and that fails the round.
const giveUp = 4 * time.Minute

// ask lets people arrive for all coupons of a round, and returns once they do.
func (w *world) ask(r round) *crowds {
	w.t.Helper()
	c := &crowds{w: w, changed: make(chan struct{})}
	people := func(share float64) int { return int(share * *rate * r.Traffic.Seconds()) }
	daily, changing, limit := coupon("daily", r), coupon("changing", r), people(changingShare)/3+1
	w.define(daily, fmt.Sprintf(`{"limit":%d,"window":"daily","time_zone":"Asia/Seoul"}`, people(dailyShare)/2+1))
	w.define(coupon("hot", r), fmt.Sprintf(`{"limit":%d}`, int(r.HotShare*float64(people(hotShare)))+1))
	w.define(changing, fmt.Sprintf(`{"limit":%d}`, limit))
	for p := range int32(partitions) {
		c.probes = append(c.probes, inPartition(p, coupon("probe", r)))
		w.define(c.probes[p], `{"limit":1000000}`)
	}
	c.add(r, dailyShare, daily, true)
	c.add(r, hotShare, coupon("hot", r), true)
	c.add(r, changingShare, changing, false)
	for _, probe := range c.probes {
		c.add(r, probeShare, probe, true)
	}
	for _, one := range c.all {
		<-one.load.Began
	}
	if r.Rises {
		limit *= 2
	} else {
		limit = limit/2 + 1
	}
	go func() {
		defer close(c.changed)
		select {
		case <-time.After(r.Change):
		case <-w.t.Context().Done():
		}
		w.define(changing, fmt.Sprintf(`{"limit":%d}`, limit))
	}()
	return c
}

// coupon is the name of one of a round's coupons.
func coupon(what string, r round) string { return fmt.Sprintf("%s-%d", what, r.Number) }

// define defines a coupon, and tries until that is taken: the same definition again changes nothing.
func (w *world) define(coupon, definition string) {
	ctx, cancel := context.WithTimeout(w.t.Context(), giveUp)
	defer cancel()
	var retry broker.Backoff
	for {
		status, body := w.doors[retry.Tries()%len(w.doors)].Put(w.t, coupon, definition)
		if status == http.StatusOK || status == http.StatusCreated {
			return
		}
		if status != 0 && status < 500 || retry.Wait(ctx) != nil {
			w.t.Errorf("%s cannot be defined: %d %s", coupon, status, body)
			return
		}
	}
}

// add lets a crowd ask; exact, where its coupon stays as it is.
func (c *crowds) add(r round, share float64, coupon string, exact bool) {
	load := process.StartLoad(c.w.t, c.w.people,
		"--coupon", coupon, "--rate", fmt.Sprint(share**rate), "--duration", r.Traffic.String(), "--give-up", giveUp.String())
	c.all = append(c.all, &crowd{coupon, load, exact})
}

// end waits until all have their answers.
func (c *crowds) end() {
	c.w.t.Helper()
	<-c.changed
	for _, one := range c.all {
		<-one.load.Done
		if one.exact && one.load.Code != 0 {
			c.w.t.Errorf("the crowd for %s was not served as promised (exit code %d):\n%s", one.coupon, one.load.Code, one.load.Output)
		}
	}
}

func (c *crowds) coupons() []string {
	var ids []string
	for _, one := range c.all {
		ids = append(ids, one.coupon)
	}
	return ids
}

func (c *crowds) files() []string {
	var paths []string
	for _, one := range c.all {
		paths = append(paths, one.load.Answers)
	}
	return paths
}

// told are a round's answers.
type told struct {
	all    []answer
	probes [][]answer // by partition
}

func (w *world) answers(c *crowds) told {
	w.t.Helper()
	var t told
	for _, one := range c.all {
		answers, err := readAnswers(one.load.Answers)
		if err != nil {
			w.t.Fatalf("%s: %v\n%s", one.coupon, err, one.load.Output)
		}
		t.all = append(t.all, answers...)
		for _, probe := range c.probes {
			if probe == one.coupon {
				t.probes = append(t.probes, answers)
			}
		}
	}
	return t
}

// asking is how many asked, for the first time, after a moment.
func (t told) asking(after time.Time) (n int) {
	for _, a := range t.all {
		if a.AskedAt.After(after) {
			n++
		}
	}
	return n
}
