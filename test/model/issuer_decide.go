package model

import "fmt"

// decideBatch is one script call: it compares, decides all, and moves progress; and each way in which it can go wrong.
func (w *walk) decideBatch(first, to int8) {
	t := w.s
	at := w.s.owners[w.i].at
	calls := uint8(1)<<to | uint8(1)<<w.ahead(to)
	if !w.compare(&t, calls) {
		w.add(t, w.needless(t), "%s: the script expected progress %d, finds %d", w, at, w.s.redis.progress)
		w.pipelined(t, to)
		return
	}
	bad := w.apply(&t.redis, first, to, w.s.owners[w.i].known)
	if bad == "" {
		bad = w.foreign()
	}
	w.trim(&t)
	q := &t.owners[w.i]
	q.at, q.next = to, 0
	if q.known <= to {
		q.known = 0
	}
	w.add(t, bad, "%s: the script moves progress from %d to %d", w, w.s.redis.progress, to)
	w.lose(t, to)
	w.failMidway(first, to)
}

// apply decides requests first to to upon a Redis, and gives the first answer that the log contradicts. The claims of a
// batch are decided by the definition in force before it, or by a later one that the owner takes for it.
func (m *Issuer) apply(r *redis, first, to, known int8) (bad string) {
	defined := r.coupon.defined
	if known > 0 {
		defined = max(defined, m.states[known+1].defined)
	}
	d := m.definition(defined)
	for o := first; o <= to; o++ {
		was := m.outcomes[o]
		c, outcome, _ := m.decide(r.coupon, o, d)
		r.coupon = c
		if outcome != was && bad == "" {
			bad = fmt.Sprintf("offset %d (%v) is answered %v, by the log it is %v", o, m.records[o], outcome, was)
		}
	}
	r.progress = to
	return bad
}

// lose: the script took effect, or will, or never does; the owner does not know. The call after it may be on its way too.
func (w *walk) lose(done issuerState, to int8) {
	if w.s.left.Lose == 0 {
		return
	}
	p := w.s.owners[w.i]
	for _, t := range []issuerState{done, w.s} {
		t.left.Lose--
		t.owners[w.i].at = p.at
		t.owners[w.i].doubtful |= 1 << to
		if t.redis == w.s.redis {
			t.delay(call{p.at, to})
		}
		also := t
		t.restart(w.i)
		w.fault(t, "%s: the script's answer is lost (progress %d)", w, t.redis.progress)
		if next := w.ahead(to); next > to {
			also.delay(call{to, next})
			also.owners[w.i].doubtful |= 1 << next
			also.restart(w.i)
			w.fault(also, "%s: the script's answer is lost (progress %d), the next call is on its way", w, t.redis.progress)
		}
	}
}

// pipelined: the call after one that was refused is on its way, and may find what it expects.
func (w *walk) pipelined(t issuerState, to int8) {
	if next := w.ahead(to); next > to && w.s.left.Lose > 0 {
		t.left.Lose--
		t.delay(call{to, next})
		w.fault(t, "%s: the next script call, up to %d, is on its way", w, next)
	}
}

// ahead is up to where the next batch may be given before the answer of the one up to to.
func (w *walk) ahead(to int8) int8 {
	p := w.s.owners[w.i]
	next := to + 1
	if next >= w.available(p) || w.records[to].kind == aDefinition || w.records[next].kind == aDamage && p.letter < next {
		return to
	}
	return next
}

func (s *issuerState) delay(c call) {
	for k := range s.calls {
		if s.calls[k] == noCall {
			s.calls[k] = c
			return
		}
	}
}

// failMidway: all is read before anything is written, so that a script that fails has changed nothing.
func (w *walk) failMidway(first, to int8) {
	if w.s.left.Fail == 0 {
		return
	}
	t := w.s
	t.left.Fail--
	if w.WriteFirst {
		at := t.redis.progress
		w.apply(&t.redis, first, to, 0)
		t.redis.progress = at
	}
	t.restart(w.i)
	w.fault(t, "%s: the script fails in the middle", w)
}
