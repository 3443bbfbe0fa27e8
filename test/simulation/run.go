package simulation

import (
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
)

// plan is a run: where it begins, what does not take part until the end, and each turn.
type plan struct {
	seed  uint64
	mute  mute
	steps []step
}

// mute is what a run that was shrunk does without: groups by name, partitions by number.
type mute struct {
	groups     string
	partitions [3]bool
}

func (m mute) processes(group string) bool {
	return m.groups != "" && strings.Contains(m.groups, group)
}
func (m mute) partition(p int32) bool { return m.partitions[p] }

// planOf is the run of a seed.
func planOf(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 2))
	steps := make([]step, 200+r.IntN(1000))
	for i := range steps {
		steps[i].seed = r.Uint64()
	}
	return plan{seed: seed, steps: steps}
}

// result is what came of a run.
type result struct {
	breaches []string
	seen     map[string]int // how often what happened
	trace    *trace         // nil where it was not asked for
	turns    int            // that were taken
}

// run plays a plan and compares what came of it. Each run has a bubble of its own, in which time stands still unless the
// scheduler lets it pass. A panic of the code under test is a breach.
func run(t *testing.T, p plan, tr *trace) (r result) {
	synctest.Test(t, func(*testing.T) {
		w := newWorld(p.seed, tr)
		defer w.end(&r)
		w.play(p, &r.turns)
		if !w.broken() {
			w.judge()
		}
	})
	return r
}

// play takes the turns of a plan, and counts them; then it lets everybody finish.
func (w *World) play(p plan, turns *int) {
	w.mute = p.mute
	for i, s := range p.steps {
		if *turns = i + 1; w.trace != nil {
			w.trace.turn = *turns
		}
		if w.turn(s); w.broken() {
			return
		}
	}
	w.source.Seed(p.seed, 3)
	w.finish()
}

// end ends all goroutines of the run, also after a panic.
func (w *World) end(r *result) {
	if err := recover(); err != nil {
		w.breach("panic: %v\n%s", err, debug.Stack())
	}
	for _, p := range w.processes {
		if p.alive {
			p.kill()
		}
	}
	synctest.Wait()
	r.breaches, r.seen, r.trace = w.breaches, w.seen, w.trace
}
