package simulation

import "time"

// shrink looks for a shorter plan that still fails: it leaves out turns, and tames those that are left, in ever smaller
// pieces, until nothing can be left out or the time is over. What fails in the end may be another breach of the same bug.
func shrink(p plan, fails func(plan) (turns int, failed bool), until time.Time) plan {
	turns, _ := fails(p)
	p.steps = p.steps[:turns]
	for size := max(1, len(p.steps)/2); ; size /= 2 {
		changed := true
		for changed && time.Now().Before(until) {
			p, changed = pass(p, size, fails, until)
		}
		if size <= 1 || !time.Now().Before(until) {
			return p
		}
	}
}

// pass tries each piece of a size once: without it, and else tamed.
func pass(p plan, size int, fails func(plan) (int, bool), until time.Time) (plan, bool) {
	changed := false
	for at := len(p.steps) - size; at > -size && time.Now().Before(until); at -= size {
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
