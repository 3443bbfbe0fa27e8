package partition

import "fmt"

// assign gives the next action of the assignment path. Their order is part of the design: what is read first may only be
// older than what is read after it, so that a commit never covers facts that the journal was not yet seen to hold.
func (m *Machine) assign() {
	s := m.s
	if s.step == stepRebuild {
		m.rebuild()
		return
	}
	if s.busy {
		return
	}
	s.busy = true
	switch s.step {
	case stepCommitted:
		m.do(Action{Kind: ReadCommitted})
	case stepLoad:
		m.do(Action{Kind: Load})
	case stepJournal:
		m.do(Action{Kind: JournalBounds})
	case stepTail:
		m.do(Action{Kind: ReadSources, Offset: m.tailFrom()})
	case stepBounds:
		m.do(Action{Kind: Bounds})
	case stepDefinitions:
		m.do(Action{Kind: LoadDefinitions, Expected: s.at, After: s.after})
	case stepWindows:
		m.do(Action{Kind: LoadWindows, Expected: s.at, From: s.windows})
	case stepMove:
		m.do(Action{Kind: RestoreFacts, Restore: m.move()})
	}
}

func (m *Machine) assigned(r Result) {
	s := m.s
	if r.Err != nil {
		m.restart(Failed, r.Err)
		return
	}
	s.busy = false
	switch r.Kind {
	case ReadCommitted:
		s.committed = r.Committed
		s.mark, _ = parseMark(r.Committed)
		s.step = stepLoad
	case Load:
		s.at, s.kept = r.Loaded.Progress, r.Loaded.Outbox
		s.step = stepJournal
	case JournalBounds:
		s.journalStart, s.journalEnd = r.Start, r.End
		m.chooseTail()
	case ReadSources:
		m.readTail(r.Sources)
	case Bounds:
		s.start, s.end = r.Start, r.End
		m.bounded()
	case LoadDefinitions:
		m.loadedDefinitions(r.Definitions)
	case LoadWindows:
		m.loadedWindows(r.Windows)
	case ReadFacts:
		m.readFacts(r.Read)
	case RestoreFacts:
		m.restored(r)
	}
}

// chooseTail begins to read the journal where it is known up to, if it is.
func (m *Machine) chooseTail() {
	s := m.s
	s.tail = Tail{Next: s.journalStart, Highest: -1, Last: -1}
	for _, known := range []Tail{m.tail, s.mark.Tail} {
		s.shrunk = s.shrunk || known.Next > s.journalEnd
		if known.within(s.journalStart, s.journalEnd) && known.Next > s.tail.Next {
			s.tail, s.compare = known, true
		}
	}
	s.step = stepTail
	m.tailRead()
}

// tailFrom is the offset to read from: of a known tail its last record, to see that it is still that one.
func (m *Machine) tailFrom() int64 {
	if m.s.compare {
		return m.s.tail.Next - 1
	}
	return m.s.tail.Next
}

func (m *Machine) readTail(r Sources) {
	s, t := m.s, &m.s.tail
	if r.Next <= m.tailFrom() {
		return // nothing came: ask again
	}
	if s.compare && (r.Offset != t.Next-1 || r.First != t.Last) {
		s.shrunk = true
		*t, s.compare = Tail{Next: s.journalStart, Highest: -1, Last: -1}, false
		return
	}
	s.compare = false
	*t = Tail{Next: r.Next, Highest: max(t.Highest, r.Highest), Last: r.Last}
	m.tailRead()
}

func (m *Machine) tailRead() {
	s := m.s
	if s.compare || s.tail.Next < s.journalEnd {
		return
	}
	s.highest = s.tail.Highest
	if !s.shrunk {
		m.tail = s.tail
	}
	s.step = stepBounds
}

// bounded is where it is decided how to go on.
func (m *Machine) bounded() {
	s := m.s
	if !s.loaded && s.at != Nothing {
		s.step = stepDefinitions
		return
	}
	gone := s.at.Offset+1 < s.start
	switch {
	case s.shrunk && s.committed.Offset <= s.end: // else what is known of the journal is as foreign as that offset
		m.suspect(Suspicion{Loss: LostJournal, First: s.journalStart, Ends: s.journalEnd})
	case s.highest > s.at.Offset && (gone || s.at == Nothing):
		m.beginRebuild()
	case s.at.Offset >= s.end && s.at != Nothing:
		m.suspect(Suspicion{Loss: LostEnd, Ends: s.end})
	case gone && s.committed.Offset >= s.start:
		s.step = stepMove
	case gone:
		m.suspect(Suspicion{Loss: LostRequests, First: s.at.Offset + 1, Last: s.start - 1})
	default:
		m.begin()
	}
}

func (m *Machine) loadedDefinitions(page Definitions) {
	s := m.s
	switch {
	case page.Found != s.at:
		m.elsewhere(s.at, page.Found)
	case len(page.Coupons) == 0:
		s.step = stepWindows
	default:
		s.catalog.add(page.Coupons)
		s.after = page.Coupons[len(page.Coupons)-1].CouponID
	}
}

func (m *Machine) loadedWindows(page Windows) {
	s := m.s
	switch {
	case page.Found != s.at:
		m.elsewhere(s.at, page.Found)
	case len(page.Windows) == 0:
		s.loaded, s.step = true, stepBounds // which may have moved meanwhile
	default:
		for w, at := range page.Windows {
			s.catalog.keep(w, at)
		}
		s.windows += len(page.Windows)
	}
}

// move takes progress over a gap of requests that the group's offset covers: all facts of what is committed are in the
// journal, and the journal is in the store, so there were only refusals. They may have raised the log time, which only the
// mark can tell; without one (the offset was set by hand) progress goes no further than it must.
func (m *Machine) move() *Restore {
	s := m.s
	to := Progress{Offset: s.start - 1, LogTime: s.at.LogTime}
	if p := s.mark.Progress; s.mark != (commitMark{}) && p.Offset >= to.Offset && p.Offset < s.end && p.LogTime >= s.at.LogTime {
		to = p
	}
	return &Restore{Expected: s.at, Next: to, Drops: s.catalog.due(to.LogTime)}
}

func (m *Machine) beginRebuild() {
	s := m.s
	if s.journalStart > 0 {
		m.suspect(Suspicion{Loss: LostJournal, First: s.journalStart})
		return
	}
	s.step, s.loaded = stepRebuild, true
	s.rebuild = rebuild{next: s.journalStart, highest: s.at.Offset}
}

const restoreAtOnce = 1000

// rebuild reads ahead by one piece while the one before is taken into the store.
func (m *Machine) rebuild() {
	s, b := m.s, &m.s.rebuild
	s.busy = true
	if !b.reading && !b.done && len(b.facts) < 10*restoreAtOnce {
		b.reading = true
		m.do(Action{Kind: ReadFacts, Offset: b.next, Above: s.at.Offset})
	}
	if b.restoring || len(b.facts) == 0 {
		return
	}
	r, n, err := s.catalog.restore(s.at, b.facts, restoreAtOnce)
	if err != nil {
		m.restart(Failed, err)
		return
	}
	b.facts, b.restoring = b.facts[n:], true
	m.do(Action{Kind: RestoreFacts, Restore: r})
}

// readFacts keeps the facts above what was read before: duplicates of a former owner's late batches stand among them.
func (m *Machine) readFacts(r Facts) {
	s, b := m.s, &m.s.rebuild
	for _, f := range r.Facts {
		if f.Source.Offset > b.highest && f.Source.Offset <= s.highest {
			b.facts = append(b.facts, f)
			b.highest = f.Source.Offset
			if isUnknown(f) {
				b.passed, b.unknown = b.passed+1, r.Unknown
			}
		}
	}
	b.reading, b.next = false, r.Next
	b.done = r.Next >= s.journalEnd
	m.rebuilt()
}

func (m *Machine) restored(r Result) {
	s, b := m.s, &m.s.rebuild
	if r.Found != s.at {
		m.elsewhere(s.at, r.Found)
		return
	}
	s.at = r.Restore.Next
	if s.step == stepMove {
		m.notice(Notice{Kind: Moved, Count: int(s.at.Offset - r.Restore.Expected.Offset)})
		s.step = stepBounds
		return
	}
	b.restoring = false
	b.restored += restoredFacts(r.Restore)
	m.rebuilt()
}

func (m *Machine) rebuilt() {
	s, b := m.s, &m.s.rebuild
	switch {
	case !b.done || b.restoring || len(b.facts) > 0:
	case s.at.Offset < s.highest:
		m.restart(Failed, fmt.Errorf("the journal's fact of offset %d cannot be found again", s.highest))
	default:
		m.notice(Notice{Kind: Rebuilt, Count: b.restored})
		if b.passed > 0 {
			m.notice(Notice{Kind: PassedOver, Count: b.passed, Detail: b.unknown})
		}
		s.step = stepBounds
	}
}

func restoredFacts(r *Restore) int {
	n := len(r.Defined)
	for i := range r.Granted {
		n += len(r.Granted[i].Entries)
	}
	return n
}

// begin ends the assignment path, or all of it that a stopped partition can do: what a former owner decided and did not
// get into the journal is emitted, and fetching begins after progress, never at the group's offset.
func (m *Machine) begin() {
	s := m.s
	s.tip, s.next = s.at, s.at.Offset+1
	count := 0
	for _, kept := range s.kept {
		facts := above(s.highest, kept.Facts)
		count += len(facts)
		s.outbox.push(kept.Progress, facts)
	}
	s.outbox.push(s.at, nil)
	s.kept = nil
	if count > 0 {
		m.notice(Notice{Kind: Reemitted, Count: count})
	}
	s.lookAt, s.commitAt = m.now.Add(m.cfg.LookEvery), m.now
	s.emits = true
	if s.step == stepStopped {
		return
	}
	s.step = stepRunning
	if s.at.AppendTime != 0 && s.at.Offset >= s.start {
		s.verify, s.emits, s.next = true, false, s.at.Offset // the record at progress first
		return
	}
	m.trust()
}
