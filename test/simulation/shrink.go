package simulation

import "time"

// shrink looks for a shorter plan that still fails: it does without groups and partitions, leaves out turns, and tames those
// that are left, in ever smaller pieces, until nothing can be left out or the time is over. What fails in the end may be
// another breach of the same bug.
func shrink(p plan, fails func(plan) (turns int, failed bool), until time.Time) plan {
	turns, _ := fails(p)
	p.steps = p.steps[:turns]
	for size := max(1, len(p.steps)/2); time.Now().Before(until); {
		before := len(p.steps)
		p = quieter(p, fails)
		for changed := true; changed && time.Now().Before(until); {
			p, changed = pass(p, size, fails, until)
		}
		switch {
		case size > 1:
			size /= 2
		case len(p.steps) < before:
			size = max(1, len(p.steps)/2) // what was needed before may not be any more
		default:
			return p
		}
	}
	return p
}

// quieter does without whole groups and partitions, where it fails all the same.
func quieter(p plan, fails func(plan) (int, bool)) plan {
	for _, group := range []string{"downstream", "ledger", "gateway"} {
		if q := p; !q.mute.processes(group) {
			q.mute.groups += group + " "
			if q, ok := try(q, fails); ok {
				p = q
			}
		}
	}
	for n := range p.mute.partitions {
		if q := p; !q.mute.partition(int32(n)) {
			q.mute.partitions[n] = true
			if q, ok := try(q, fails); ok {
				p = q
			}
		}
	}
	return p
}

// pass tries each piece of a size once: without it, and else tamed.
func pass(p plan, size int, fails func(plan) (int, bool), until time.Time) (plan, bool) {
	changed := false
	for at := len(p.steps) - size; at > -size && time.Now().Before(until); at = min(at, len(p.steps)) - size {
		from, to := max(0, at), at+size
		if shorter, ok := try(p.without(from, to), fails); ok {
			p, changed = shorter, true
		} else if tamer, wild := p.tamed(from, to); wild {
			if tamer, ok := try(tamer, fails); ok {
				p, changed = tamer, true
			}
		}
	}
	return p, changed
}

func try(p plan, fails func(plan) (int, bool)) (plan, bool) {
	turns, failed := fails(p)
	p.steps = p.steps[:turns]
	return p, failed
}

func (p plan) without(from, to int) plan {
	steps := append([]step{}, p.steps[:from]...)
	p.steps = append(steps, p.steps[min(to, len(p.steps)):]...)
	return p
}

// tamed tells also whether there was anything wild in that piece.
func (p plan) tamed(from, to int) (plan, bool) {
	wild := false
	p.steps = append([]step{}, p.steps...)
	for i := from; i < min(to, len(p.steps)); i++ {
		wild = wild || !p.steps[i].tame
		p.steps[i].tame = true
	}
	return p, wild
}
