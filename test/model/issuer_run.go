package model

// life: who owns the partition, and who only believes so.
func (w *walk) life() {
	s, i := w.s, w.i
	p := s.owners[i]
	t := s
	switch {
	case p.phase == down:
		t.owners[i].phase = outside
		w.add(t, "", "%s restarts", w)
	case p.phase == outside:
		w.assigned()
	default:
		w.ends()
	}
}

// assigned: the group gives the partition to one that is there, if its owner is not; or takes it from one that is paused.
func (w *walk) assigned() {
	t := w.s
	t.owner, t.owners[w.i] = int8(w.i), blank(readCommitted)
	holder := w.s.owners[w.s.owner].phase
	switch {
	case int(w.s.owner) == w.i || holder <= outside:
		w.add(t, "", "the group gives the partition to %s", w)
	case w.s.left.Steal > 0:
		t.left.Steal--
		w.fault(t, "the group gives the partition to %s, while its owner is paused", w)
	}
}

func (w *walk) ends() {
	if w.s.left.Crash > 0 {
		t := w.s
		t.left.Crash--
		t.leave(w.i, down)
		w.fault(t, "%s is killed", w)
	}
	if int(w.s.owner) != w.i {
		t := w.s
		t.leave(w.i, outside)
		w.add(t, "", "%s learns that the partition is not its own", w)
	}
}

// compare is what each script call does first. It tells whether progress is what the owner expects; where it is not, the
// owner takes the consequence. calls are the progress marks that its calls under way lead to.
func (w *walk) compare(t *issuerState, calls uint8) bool {
	p := &t.owners[w.i]
	if t.redis.progress == p.at {
		p.settle(w.ForgetDoubts)
		return true
	}
	if w.NoCompare {
		return true
	}
	p.doubtful |= calls // a client may have repeated one whose answer it lost
	w.elsewhere(t)
	return false
}

// settle ends the doubt about calls that cannot take effect any more: progress has passed them.
func (p *owner) settle(all bool) {
	if all {
		p.doubtful = 0
	}
	p.doubtful &^= 1<<(p.at+1) - 1
}

func (w *walk) elsewhere(t *issuerState) {
	p, found := t.owners[w.i], t.redis.progress
	own := found >= 0 && p.doubtful&(1<<found) != 0 && !w.RejoinForOwnCall
	switch {
	case found > p.at && p.phase == running && w.StayOut:
		t.leave(w.i, retreated)
	case found > p.at && p.phase == running && !own:
		t.leave(w.i, outside)
	case found < p.at && found >= 0 && p.phase == running && w.KeepMemory:
		w.goBack(&t.owners[w.i], found)
	default:
		t.restart(w.i)
	}
}

func (w *walk) goBack(p *owner, found int8) {
	p.known, p.at = max(p.known, p.at), found
	if w.ForgetEmission {
		p.acked = w.first[found+1]
		p.landed, p.sent = p.acked, p.acked
	}
}

// emission: one produce request at a time; its facts land one by one, and are acknowledged together.
func (w *walk) emission() {
	p := w.s.owners[w.i]
	switch {
	case p.landed < p.sent:
		t := w.s
		bad := w.land(&t, p.landed)
		t.owners[w.i].landed++
		w.add(t, bad, "the journal takes %v from %s", w.facts[p.landed], w)
	case p.acked < p.sent:
		t := w.s
		t.owners[w.i].acked = p.sent
		w.add(t, "", "%s gets the acknowledgement", w)
	}
	if p.acked < p.sent {
		w.loseAcknowledgement()
	}
	if p.acked == p.sent || w.EmitAhead {
		w.produce()
	}
}

func (w *walk) loseAcknowledgement() {
	if w.s.left.Lose == 0 || w.s.owners[w.i].phase == stopped {
		return
	}
	t := w.s
	t.left.Lose--
	t.restart(w.i)
	w.fault(t, "%s gets no acknowledgement, and reads everything again", w)
}

func (w *walk) produce() {
	p := w.s.owners[w.i]
	emits := p.phase == running || p.phase == stopped || p.phase == verify && w.EmitUnverified
	for to := p.sent + 1; emits && to <= w.pushed(p) && to <= p.sent+w.Batch; to++ {
		t := w.s
		if p.landed < p.sent { // EmitAhead: the request before may land after this one
			t.orphan(span{p.landed, p.sent})
		}
		q := &t.owners[w.i]
		q.acked, q.landed, q.sent = p.sent, p.sent, to
		w.add(t, w.foreign(), "%s produces %v up to %v", w, w.facts[p.sent], w.facts[to-1])
	}
}

// foreign: Redis and journal belong to a log that is not there any more.
func (w *walk) foreign() string {
	if w.s.replaced {
		return "works on, with a requests log that is not the one that Redis and journal belong to"
	}
	return ""
}

// run is the work of an owner, in the order of effects.
func (w *walk) run() {
	w.fetch()
	w.letter()
	w.decideBatches()
	w.commit()
	w.look()
}

// firstUndecided is the first request that is not given to Redis.
func (w *walk) firstUndecided(p owner) int8 { return max(p.at+1, p.next) }

func (w *walk) fetch() {
	p := w.s.owners[w.i]
	from := max(p.fetched, w.firstUndecided(p))
	if w.Faults.Truncate == 0 || from >= w.end() {
		return // all are there for ever: it makes no difference when they are fetched
	}
	t := w.s
	switch {
	case from >= w.s.start:
		t.owners[w.i].fetched = from + 1
		w.add(t, "", "%s fetches request %d", w, from)
		if from+1 < w.end() {
			t.owners[w.i].fetched = w.end()
			w.add(t, "", "%s fetches requests %d to %d", w, from, w.end()-1)
		}
	case w.StopAtFetch:
		w.stop(t)
	default:
		t.restart(w.i)
		w.add(t, "", "%s finds the log's start at %d", w, w.s.start)
	}
}

// available is where the requests in memory end.
func (w *walk) available(p owner) int8 {
	if w.Faults.Truncate == 0 {
		return w.end()
	}
	return p.fetched
}

// letter writes the next dead letter; the batch that it is in waits for it.
func (w *walk) letter() {
	p := w.s.owners[w.i]
	for o := p.letter + 1; o < w.available(p); o++ {
		if w.records[o].kind != aDamage || o <= p.at && !w.LettersLate {
			continue
		}
		t := w.s
		t.owners[w.i].letter = o
		t.letters |= 1 << o
		w.add(t, "", "%s writes offset %d to the dead letters", w, o)
		return
	}
}

func (w *walk) decideBatches() {
	p := w.s.owners[w.i]
	first := w.firstUndecided(p)
	for to := first; to < w.available(p) && to < first+w.Batch; to++ {
		if w.records[to].kind == aDamage && p.letter < to && !w.LettersLate {
			return // held until the dead letters have it
		}
		w.decideBatch(first, to)
		if w.records[to].kind == aDefinition && !w.DefineInside {
			return // what follows is prepared by it
		}
	}
}

// commit moves the group's offset, if the group still takes this member for the owner. Only a log that loses its beginning
// asks for it.
func (w *walk) commit() {
	p := w.s.owners[w.i]
	next := w.covered(p) + 1
	if w.Faults.Truncate == 0 && !w.StartAtCommitted && !w.CommitEarly || next <= p.committed {
		return
	}
	t := w.s
	if int(w.s.owner) == w.i || w.CommitUnfenced {
		t.committed, t.owners[w.i].committed = next, next
		bad := ""
		if next < w.s.committed {
			bad = "the group's offset goes back"
		}
		w.add(t, bad, "%s commits offset %d (was %d)", w, next, w.s.committed)
	}
}

// look compares progress, and lets Redis give up what the journal has acknowledged.
func (w *walk) look() {
	t := w.s
	if w.s.redis.progress == w.s.owners[w.i].at {
		w.trim(&t)
		if t.redis != w.s.redis {
			w.add(t, "", "%s looks at progress, the outbox is trimmed", w)
		}
		return
	}
	if w.NoIdleLook {
		return
	}
	w.compare(&t, 0)
	w.add(t, w.needless(t), "%s looks at progress: expected %d, finds %d", w, w.s.owners[w.i].at, w.s.redis.progress)
}

// needless: nobody but this owner was ever there, and it leaves the group.
func (w *walk) needless(t issuerState) string {
	f := w.Faults
	if t.owners[w.i].phase == outside && f.Steal+f.Crash+f.Rewind+f.Failover+f.Empty == 0 {
		return "leaves the group for a call of its own"
	}
	return ""
}

// trim gives up the outbox up to what is covered.
func (w *walk) trim(t *issuerState) {
	p := t.owners[w.i]
	to := p.acked
	if w.TrimEarly {
		to = p.sent
	}
	t.redis.kept = max(t.redis.kept, min(to, w.first[t.redis.progress+1]))
}
