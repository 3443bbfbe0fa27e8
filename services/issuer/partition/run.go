package partition

import (
	"errors"
	"fmt"
	"time"
)

// run gives what a partition that is assigned can do now, in the order of effects: dead letters, decide, wake, emit,
// commit.
func (m *Machine) run() {
	m.fetch()
	m.decide()
	m.emit()
	m.commit()
	m.look()
}

func (m *Machine) ran(r Result) {
	switch r.Kind {
	case Fetch:
		m.fetched(r)
	case DeadLetter:
		m.lettersWritten(r)
	case Decide:
		r.Batch.answer = &r.Answer
		m.answered()
	case Emit:
		m.emitted(r)
	case Commit:
		m.committed(r)
	case LookAtProgress:
		m.looked(r)
	}
}

func (m *Machine) fetch() {
	s := m.s
	if s.fetching || m.stopping || len(s.buffer) >= m.cfg.MaxBuffered {
		return
	}
	s.fetching = true
	m.do(Action{Kind: Fetch, Offset: s.next})
}

func (m *Machine) fetched(r Result) {
	s := m.s
	s.fetching = false
	var gone *RangeError
	switch {
	case errors.As(r.Err, &gone):
		m.restart(LogMoved, r.Err)
		return
	case r.Err != nil:
		m.restart(Failed, r.Err)
		return
	}
	s.end = max(s.end, r.Fetched.End, r.Fetched.Next)
	if s.verify && !m.verified(r.Fetched) {
		return
	}
	s.next = max(s.next, r.Fetched.Next)
	s.buffer = append(s.buffer, r.Fetched.Requests...)
}

// verified compares the record at progress with what the store remembers of it. Until then nothing is decided or emitted.
func (m *Machine) verified(f Fetched) bool {
	s := m.s
	if f.Next <= s.at.Offset {
		return false // nothing came yet
	}
	for _, q := range f.Requests {
		if q.Offset > s.at.Offset || q.Last < s.at.Offset {
			continue
		}
		if q.Time != s.at.AppendTime {
			m.suspect(Suspicion{Loss: OtherLog, First: int64(q.Time)})
			return false
		}
		s.verify, s.emits = false, true
		m.trust()
		return true
	}
	m.suspect(Suspicion{Loss: OtherLog})
	return false
}

// decide gives batches to the store: several ahead of their answers, as long as they are full ones of claims alone.
func (m *Machine) decide() {
	s := m.s
	if m.stopping || s.verify || s.looking {
		return
	}
	if s.acknowledged {
		m.give(s.held)
		s.held, s.acknowledged = nil, false
	}
	for s.held == nil && len(s.buffer) > 0 && m.mayDecide() {
		b, n := s.catalog.prepare(m.cfg.Partition, s.tip, s.outbox.covered.Offset, s.buffer, m.cfg.MaxBatch)
		s.buffer = s.buffer[n:]
		if b.Next == b.Expected {
			continue // a fetch began below
		}
		s.tip = b.Next
		if b.letters {
			s.held = b
		} else {
			m.give(b)
		}
	}
	if s.held != nil && !s.letter {
		m.writeLetters()
	}
}

func (m *Machine) mayDecide() bool {
	s := m.s
	waiting := len(s.outbox.facts)
	for _, b := range s.chain {
		if b.Define != nil {
			return false // what follows is prepared by it
		}
		waiting += len(b.requests)
	}
	full := len(s.buffer) >= m.cfg.MaxBatch
	return waiting <= m.cfg.MaxWaiting && (len(s.chain) == 0 || full && len(s.chain) < m.cfg.MaxInFlight)
}

func (m *Machine) give(b *Batch) {
	m.s.chain = append(m.s.chain, b)
	m.do(Action{Kind: Decide, Batch: b})
}

// writeLetters holds the batch back until its dead letters are acknowledged: once progress is beyond them, nobody would
// write them again.
func (m *Machine) writeLetters() {
	s := m.s
	if m.now.Before(s.retryAt) {
		return
	}
	s.letter = true
	m.do(Action{Kind: DeadLetter, Batch: s.held})
}

func (m *Machine) lettersWritten(r Result) {
	s := m.s
	s.letter = false
	if r.Err != nil {
		s.retryAt = m.now.Add(longWait / 4)
		m.lastErr = r.Err
		m.notice(Notice{Kind: LetterFails, Err: r.Err})
		return
	}
	m.lastErr = nil
	s.acknowledged = true
}

// answered takes the answers in the order of the log.
func (m *Machine) answered() {
	for len(m.s.chain) > 0 && m.s.chain[0].answer != nil {
		s, b := m.s, m.s.chain[0]
		switch {
		case b.answer.Err != nil:
			m.restart(UnknownResult, b.answer.Err)
			return
		case b.answer.Found != b.Expected:
			m.elsewhere(b.Expected, b.answer.Found)
			return
		}
		s.chain = s.chain[1:]
		facts := s.catalog.decided(m.cfg.Partition, b, *b.answer)
		m.queued = append(m.queued, Action{Kind: Publish, Session: m.number, Outcomes: b.told(facts)})
		s.outbox.push(b.Next, above(s.highest, facts))
		m.compared(b.Next)
		s.trimmed = max(s.trimmed, b.Covered)
	}
}

// compared notes that the store was found where it had to be.
func (m *Machine) compared(at Progress) {
	m.s.at = at
	m.s.lookAt = m.now.Add(m.cfg.LookEvery)
	m.failures, m.lastErr = 0, nil
	for p := range m.doubtful { // what progress has passed can move it no more; a call for a later place may still arrive
		if p.Offset <= at.Offset {
			delete(m.doubtful, p)
		}
	}
}

// emit has one produce call under way, so that whatever lands in the journal is a run of facts that begins at or below
// the first one missing.
func (m *Machine) emit() {
	o := &m.s.outbox
	if !m.s.emits || o.inFlight > 0 || len(o.facts) == 0 {
		return
	}
	o.inFlight = min(len(o.facts), m.cfg.MaxEmit)
	facts := append(o.facts[:0:0], o.facts[:o.inFlight]...)
	m.do(Action{Kind: Emit, Facts: facts})
}

func (m *Machine) emitted(r Result) {
	if r.Err != nil {
		m.restart(UnknownResult, r.Err)
		return
	}
	if r.Emitted.First < m.tail.Next {
		// Before it extends what is known of the journal, which would hide the loss: a new session compares.
		m.restart(Failed, fmt.Errorf("the journal took facts at offset %d, where it had %d records", r.Emitted.First, m.tail.Next))
		return
	}
	o := &m.s.outbox
	o.inFlight = 0
	o.ack(len(r.Facts))
	m.tail.appended(r.Emitted, len(r.Facts), r.Facts[len(r.Facts)-1].Source.Offset)
}

// commit commits what the journal has acknowledged, and never more.
func (m *Machine) commit() {
	s := m.s
	if s.commits || !s.uncommitted() || m.now.Before(s.commitAt) && (!m.stopping || s.commitFailed) {
		return
	}
	s.commits = true
	mark := commitMark{Progress: s.outbox.covered, Tail: m.tail}
	m.do(Action{Kind: Commit, Offset: mark.Progress.Offset + 1, Text: mark.String()})
}

// uncommitted tells whether the group's offset is to be moved: forward, or back from beyond the log's end, where it is of
// another log and would cover gaps of this one.
func (s *session) uncommitted() bool {
	next := s.outbox.covered.Offset + 1
	return next > 0 && (next > s.committed.Offset || next < s.committed.Offset && s.committed.Offset > s.end)
}

func (m *Machine) committed(r Result) {
	s := m.s
	s.commits = false
	s.commitAt = m.now.Add(m.cfg.CommitEvery)
	if r.Err != nil {
		m.notice(Notice{Kind: CommitFails, Err: r.Err})
		s.commitFailed = true
		return
	}
	s.committed.Offset, s.commitFailed = r.Offset, false
}

// look compares progress while there is nothing to decide, so that an emptied store is found though nobody asks for
// anything; and lets it give up what the journal has acknowledged.
func (m *Machine) look() {
	s := m.s
	if s.looking || len(s.chain) > 0 || m.stopping || m.now.Before(s.lookAt) {
		return
	}
	s.looking = true
	m.do(Action{Kind: LookAtProgress, Expected: s.at, Offset: s.outbox.covered.Offset})
}

func (m *Machine) looked(r Result) {
	m.s.looking = false
	switch {
	case r.Err != nil:
		m.restart(UnknownResult, r.Err)
	case r.Found != r.Expected:
		m.elsewhere(r.Expected, r.Found)
	default:
		m.compared(r.Expected)
	}
}

// drained tells whether all that was decided is in the journal, and committed.
func (m *Machine) drained() bool {
	s := m.s
	if s.step != stepRunning {
		return true
	}
	emitted := len(s.outbox.facts) == 0 || !s.emits
	return len(s.chain) == 0 && len(m.queued) == 0 && emitted && !s.commits && (s.commitFailed || !s.uncommitted())
}

func (m *Machine) runWake() time.Time {
	s := m.s
	at := s.lookAt
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if s.looking || len(s.chain) > 0 || m.stopping {
		at = time.Time{}
	}
	if s.held != nil && !s.letter && !m.stopping {
		sooner(s.retryAt)
	}
	if !s.commits && s.uncommitted() {
		sooner(s.commitAt)
	}
	return at
}
