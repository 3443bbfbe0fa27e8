package simulation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway/verdict"
	"github.com/firstcome/firstcome/services/issuer/partition"
	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

// began is the broker's clock at the beginning. The processes' clock is another one, years behind: whoever decides by it
// is found out.
const began fcfs.Millis = 1_800_000_000_000

var errRefused = errors.New("not enough in-sync replicas")

// World is everything of one run. Only the scheduler's goroutine touches it: the processes' goroutines wait in their calls
// meanwhile.
type World struct {
	config                         config
	rng                            *rand.Rand // of the step
	source                         *rand.PCG
	places                         []*place
	processes                      []*process
	requests, ledgers, downstreams *group
	letters                        int64 // how many dead letters there are
	postgres                       *postgres
	gateways                       []*gateway
	late                           []delayed
	clock                          fcfs.Millis  // of the brokers
	ticks                          atomic.Int64 // seconds of the processes' clock
	refuses                        refusals
	names                          int // of records, given so far

	faulty   bool // faults may happen
	mute     mute // nothing is seen of these until the end
	mu       sync.Mutex
	fallen   []string // what goroutines of processes ended with
	breaches []string
	seen     map[string]int
	trace    *trace
	ready    []item
}

// refusals says up to which tick a topic refuses what is appended.
type refusals struct{ journal, letters int }

// place is one partition with all that belongs to it.
type place struct {
	w          *World
	number     int32
	requests   *topic
	journal    *topic
	model      *partitiontest.World    // what the log leads to, and Redis
	asked      map[int64]*asked        // by offset
	order      []*asked                // the same
	coupons    []string                // that belong here
	first      map[int64]*event.Record // of the journal, by source
	sources    []int64                 // of the journal, each once
	saved      []partitiontest.Saved
	rebuilding bool
	delivery   delivery
	answers    map[int64]verdict.Verdict // final ones, by offset of the claim
}

// config is what differs from run to run besides what happens.
type config struct {
	partitions, issuers, ledgers int
	fetchMost                    int
	commitEvery                  time.Duration // of the journal's consumers
	machine                      partition.Config
	newer                        bool // a newer version decides beside the others
	rates                        rates
}

func newWorld(seed uint64, tr *trace) *World {
	pcg := rand.NewPCG(seed, 0)
	w := &World{source: pcg, rng: rand.New(pcg), clock: began, seen: map[string]int{}, trace: tr}
	w.config = randomConfig(w.rng)
	w.requests = newGroup(w, "issuer", w.config.partitions)
	w.ledgers = newGroup(w, "ledger", w.config.partitions)
	w.downstreams = newGroup(w, "downstream", w.config.partitions)
	w.postgres = newPostgres(w)
	for p := range w.config.partitions {
		w.places = append(w.places, w.newPlace(int32(p)))
	}
	for i := range w.config.issuers {
		w.newIssuer(fmt.Sprintf("issuer %d", i+1))
	}
	for i := range w.config.ledgers {
		w.newLedger(fmt.Sprintf("ledger %d", i+1))
	}
	for i := range 2 {
		w.newDownstream(fmt.Sprintf("downstream %d", i+1))
		w.gateways = append(w.gateways, newGateway(w, fmt.Sprintf("gateway %d", i+1)))
	}
	w.settle()
	return w
}

func (w *World) newPlace(p int32) *place {
	return &place{
		w: w, number: p,
		requests: &topic{name: event.TopicRequests, partition: p}, journal: &topic{name: event.TopicGrants, partition: p},
		model: partitiontest.NewWorld(p), asked: map[int64]*asked{}, first: map[int64]*event.Record{},
		delivery: delivery{next: map[*process]int{}}, answers: map[int64]verdict.Verdict{},
		coupons: couponsOf(p, w.config.partitions),
	}
}

func randomConfig(r *rand.Rand) config {
	return config{
		partitions: 1 + r.IntN(3), issuers: 2 + r.IntN(2), ledgers: 2, fetchMost: 1 + r.IntN(8), newer: r.IntN(3) == 0,
		commitEvery: time.Duration(1+r.IntN(3)) * time.Second, rates: randomRates(r),
		machine: partition.Config{
			MaxBatch: 1 + r.IntN(5), MaxInFlight: 1 + r.IntN(3), MaxBuffered: 4 + r.IntN(12), MaxWaiting: 1 + r.IntN(16), MaxEmit: 1 + r.IntN(8),
			CommitEvery: time.Duration(1+r.IntN(3000)) * time.Millisecond, LookEvery: time.Duration(1+r.IntN(2000)) * time.Millisecond,
			Recheck: time.Duration(1+r.IntN(5)) * time.Second,
		},
	}
}

func (w *World) breach(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.breaches = append(w.breaches, text)
	w.say("BREACH: %s", text)
}

// broken gathers what the dumb models have noticed.
func (w *World) broken() bool {
	for _, p := range w.places {
		for _, b := range p.model.Breaches {
			w.breach("partition %d: %s", p.number, b)
		}
		p.model.Breaches = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.fallen {
		w.breach("%s", f)
	}
	w.fallen = nil
	return len(w.breaches) > 0
}

// fell is for goroutines: something in them went wrong that must not.
func (w *World) fell(why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fallen = append(w.fallen, why)
}

// now is the processes' clock in seconds.
func (w *World) now() int { return int(w.ticks.Load()) }

// saw counts what happened, for the test of the simulation itself.
func (w *World) saw(what string) { w.seen[what]++ }

func (w *World) say(format string, args ...any) {
	if w.trace != nil {
		w.trace.say(format, args...)
	}
}

// chance is true once in so many times.
func (w *World) chance(n int) bool { return w.rng.IntN(n) == 0 }

// gap is how many offsets have no record before the next one.
func (w *World) gap() int64 {
	if w.chance(10) {
		return 1 + w.rng.Int64N(2)
	}
	return 0
}

// poll lets a fetch wait for something new, or for a second to pass; empty tells whether it found nothing.
func (w *World) poll(t *topic, offset int64) (ready, empty func() bool) {
	asked := w.now()
	empty = func() bool { return offset == t.end }
	return func() bool { return !empty() || w.now() > asked }, empty
}

func (w *World) groups() []*group { return []*group{w.requests, w.ledgers, w.downstreams} }

// settle lets each group give away what nobody owns.
func (w *World) settle() {
	for _, g := range w.groups() {
		g.settle(w.rng.IntN)
	}
}
