package model

// assign is the assignment path. Another owner may do anything between two of its steps.
func (w *walk) assign() {
	t := w.s
	p := &t.owners[w.i]
	switch p.phase {
	case readCommitted:
		p.committed, p.phase = w.s.committed, load
		if w.JournalFirst {
			p.phase = readTail
		}
		w.add(t, "", "%s reads the committed offset %d", w, p.committed)
	case load:
		p.at, p.next, p.phase = w.s.redis.progress, w.s.redis.kept, readTail
		if w.JournalFirst {
			p.phase = bounds
		}
		w.add(t, "", "%s reads progress %d and the outbox", w, p.at)
	case readTail:
		p.tail, p.phase = w.s.highest, bounds
		if w.TailLast {
			p.tail = w.s.last
		}
		if w.JournalFirst {
			p.phase = load
		}
		w.add(t, "", "%s reads the journal to its end, the highest source is %d", w, w.source(p.tail))
	case bounds:
		w.bounded()
	case rebuild:
		w.restoreFacts()
	case move:
		w.moveOver()
	case verify:
		w.verified()
	}
}

// bounded is where it is decided how to go on.
func (w *walk) bounded() {
	t := w.s
	p := &t.owners[w.i]
	if w.CommitReadLate {
		p.committed = w.s.committed
	}
	gone := p.at+1 < w.s.start
	ahead := w.source(p.tail) > p.at
	switch {
	case ahead && (p.at < 0 || !w.RebuildOnlyMissing && (gone || w.RebuildAlways)):
		p.phase, p.next = rebuild, w.first[p.at+1]
		w.add(t, "", "%s has to rebuild Redis from the journal", w)
	case p.at >= w.s.end && !w.NoEndCheck:
		w.suspect()
	case gone && w.SkipGap:
		p.phase, p.committed = move, w.s.start
		w.add(t, "", "%s skips to the log's start %d", w, w.s.start)
	case gone && p.committed >= w.s.start && !w.StopAtGap:
		p.phase = move
		w.add(t, "", "%s sees requests %d to %d gone, and the commit covers them", w, p.at+1, w.s.start-1)
	case gone:
		w.suspect()
	default:
		w.begin()
	}
}

// restoreFacts takes a piece of the journal into Redis, by the same compare-and-move.
func (w *walk) restoreFacts() {
	p := w.s.owners[w.i]
	if p.next > p.tail {
		t := w.s
		t.owners[w.i].phase = bounds
		w.add(t, "", "%s has applied the whole journal, progress %d", w, p.at)
		return
	}
	for last := p.next; last <= p.tail && last < p.next+w.Batch; last++ {
		t := w.s
		if w.compare(&t, 0) {
			r, q := &t.redis, &t.owners[w.i]
			for f := p.next; f <= last; f++ {
				r.coupon = w.restore(r.coupon, w.facts[f])
			}
			r.progress, r.kept = w.source(last), last+1
			q.at, q.next = r.progress, last+1
		}
		w.add(t, "", "%s restores the journal up to source %d (progress was %d, is %d)", w, w.source(last), w.s.redis.progress, t.redis.progress)
	}
}

// moveOver takes progress over a gap of refusals, to where the commit's mark says, with its log time.
func (w *walk) moveOver() {
	t := w.s
	q := &t.owners[w.i]
	if w.compare(&t, 0) {
		to := q.committed - 1
		if !w.MoveBare {
			t.redis.coupon = w.passed(t.redis.coupon, w.states[to+1].logTime)
		}
		t.redis.progress, q.at, q.phase = to, to, bounds
	}
	w.add(t, "", "%s moves progress from %d to %d (expected %d)", w, w.s.redis.progress, t.redis.progress, w.s.owners[w.i].at)
}

// passed is the state once the log time has come.
func (m *Issuer) passed(c Coupon, logTime int8) Coupon {
	c.logTime = max(c.logTime, logTime)
	if c.defined != 0 && c.retired(m.records[c.defined-1]) {
		c.holds = [people]int8{}
	}
	return c
}

// begin ends the assignment path: what a former owner decided and did not emit is emitted, and fetching begins after
// progress; where the record at progress is still there, it is compared first.
func (w *walk) begin() {
	t := w.s
	p := &t.owners[w.i]
	w.take(p)
	p.phase = running
	mayVerify := w.Faults.Replace > 0 || w.Faults.Truncate > 0
	if mayVerify && !w.NoVerify && p.at >= 0 && p.at >= w.s.start {
		p.phase = verify
	}
	w.add(w.trusted(t), "", "%s begins at offset %d", w, p.at+1)
}

// take makes the outbox as loaded, above the journal's highest source, the owner's own.
func (w *walk) take(p *owner) {
	from := max(p.next, p.tail+1)
	if w.ForgetOutbox {
		from = max(w.first[p.at+1], p.tail+1)
	}
	p.acked, p.landed, p.sent, p.next = from, from, from, 0
	if w.StartAtCommitted && p.committed-1 > p.at {
		p.next = p.committed // fetching begins there
		p.acked = w.first[min(p.committed, w.end())]
		p.landed, p.sent = p.acked, p.acked
	}
}

// trusted is the end of all suspicion.
func (w *walk) trusted(t issuerState) issuerState {
	p := &t.owners[w.i]
	if p.phase == running {
		p.suspicion, p.sawLoss, p.fetched = suspicion{}, false, p.at+1
	}
	return t
}

// verified compares the record at progress with what Redis knows of it.
func (w *walk) verified() {
	t := w.s
	p := &t.owners[w.i]
	switch {
	case p.at < w.s.start || p.at >= w.s.end:
		t.restart(w.i)
		w.add(t, "", "%s finds no record at progress %d: the log has %d to %d", w, p.at, w.s.start, w.s.end-1)
	case w.s.replaced:
		w.suspect()
	default:
		p.phase = running
		w.add(w.trusted(t), "", "%s finds the record at progress to be the one that was applied", w)
	}
}

// suspect stops the partition if the session before came to the same suspicion, else everything is read again.
func (w *walk) suspect() {
	t := w.s
	p := &t.owners[w.i]
	seen := suspicion{true, p.at, p.committed, p.tail, w.s.start}
	if p.suspicion != seen && !w.StopUnconfirmed {
		p.suspicion = seen
		t.restart(w.i)
		w.add(t, "", "%s suspects that requests after %d are lost, and reads everything again", w, seen.at)
		return
	}
	p.suspicion = seen
	w.stop(t)
}

func (w *walk) stop(t issuerState) {
	p := &t.owners[w.i]
	switch {
	case p.phase == running:
	case w.StopMute || w.s.replaced: // the outbox belongs to another log then
		p.acked = w.first[p.at+1]
		p.landed, p.sent = p.acked, p.acked
	default:
		w.take(p)
	}
	p.phase = stopped
	w.add(t, w.falseAlarm(), "%s stops, and says that requests after %d are lost", w, p.at)
}

// falseAlarm: there was no loss at any moment since the suspicion. Where Redis itself loses what it had meanwhile, progress
// may be gone before the commit that makes up for it is read: then only reading again, later, ends the alarm.
func (w *walk) falseAlarm() string {
	f := w.Faults
	if f.Empty+f.Rewind+f.Failover > 0 || w.s.owners[w.i].sawLoss || w.lost(w.s) {
		return ""
	}
	return "stops for a loss that there was not at any moment"
}

// recheck: who has stopped reads everything again, now and then.
func (w *walk) recheck() {
	if w.NoRecheck {
		return
	}
	t := w.s
	t.restart(w.i)
	w.add(t, "", "%s reads everything again", w)
}
