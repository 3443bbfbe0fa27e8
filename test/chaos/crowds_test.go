//go:build chaos

package chaos

import (
	"fmt"
	"strconv"
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

// ask lets people arrive for all coupons of a round.
func (w *world) ask(r round) *crowds {
	w.t.Helper()
	c := &crowds{w: w, changed: make(chan struct{})}
	name := func(what string) string { return fmt.Sprintf("%s-%d", what, r.Number) }
	people := func(share float64) int { return int(share * *rate * r.Traffic.Seconds()) }

	daily := name("daily")
	process.Must(w.t, w.people, "coupon", "put", daily, "--window", "daily", "--time-zone", "Asia/Seoul", "--limit", strconv.Itoa(people(dailyShare)/2+1))
	c.add(r, dailyShare, daily, 0, true)
	c.add(r, hotShare, hotCoupon(r), int(r.HotShare*float64(people(hotShare)))+1, true)
	changing, limit := name("changing"), people(changingShare)/3+1
	c.add(r, changingShare, changing, limit, false)
	for p := range int32(partitions) {
		probe := inPartition(p, name("probe"))
		c.probes = append(c.probes, probe)
		c.add(r, probeShare, probe, 1_000_000, true)
	}
	if r.Rises {
		limit *= 2
	} else {
		limit = limit/2 + 1
	}
	go c.change(changing, limit, time.Now().Add(r.Change))
	return c
}

func hotCoupon(r round) string { return fmt.Sprintf("hot-%d", r.Number) }

// add lets a crowd ask; a limit of 0 means that the coupon is defined.
func (c *crowds) add(r round, share float64, coupon string, limit int, exact bool) {
	args := []string{"--coupon", coupon, "--rate", fmt.Sprint(share * *rate), "--duration", r.Traffic.String(), "--give-up", giveUp.String()}
	if limit > 0 {
		args = append(args, "--limit", strconv.Itoa(limit))
	}
	c.all = append(c.all, &crowd{coupon, process.StartLoad(c.w.t, c.w.people, args...), exact})
}

// change sets another limit when it is time, and tries until it is taken: the same definition again changes nothing.
func (c *crowds) change(coupon string, limit int, when time.Time) {
	defer close(c.changed)
	select {
	case <-time.After(time.Until(when)):
	case <-c.w.t.Context().Done():
	}
	var retry broker.Backoff
	for c.w.t.Context().Err() == nil {
		if _, code := process.Firstcome(c.w.t, c.w.people, "coupon", "put", coupon, "--limit", strconv.Itoa(limit)); code == 0 {
			return
		}
		_ = retry.Wait(c.w.t.Context()) // its end is seen above
	}
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
