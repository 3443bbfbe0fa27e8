package partition

import "fmt"

// Loss is what a partition stops for.
type Loss string

// What can be lost.
const (
	LostRequests Loss = "lost requests" // the log begins after the next needed record, and nothing shows that the gap was journaled
	LostEnd      Loss = "lost end"      // the log ends before progress
	OtherLog     Loss = "another log"   // the record at progress is not the one that was applied
	LostJournal  Loss = "lost journal"  // a rebuild needs its beginning, which is gone; or what it acknowledged is not in it
)

// Suspicion is something that seems lost. A partition stops only if reading everything again leads to the very same one.
type Suspicion struct {
	Loss              Loss
	Progress          Progress
	Committed         int64
	Highest           int64 // source in the journal
	First, Last, Ends int64 // LostRequests: the lost offsets; else what shows the loss
}

// String says what was lost, and what an operator can do.
func (s Suspicion) String() string {
	state := fmt.Sprintf("Progress in Redis is %s, the journal's highest source %s, the group's offset %s.",
		offset(s.Progress.Offset), offset(s.Highest), offset(s.Committed))
	switch s.Loss {
	case LostRequests:
		return fmt.Sprintf("requests %d to %d are no longer in the log, and nothing shows that they were decided and journaled. %s "+
			"Nothing is skipped by itself. Either restore a Redis backup whose progress is at least %d, or, to give these requests up for good "+
			"(nobody was told an outcome for them, except from a Redis that is gone), stop the issuers and set the group's offset of this partition to %d.",
			s.First, s.Last, state, s.Last, s.Last+1)
	case LostEnd:
		return fmt.Sprintf("the requests log ends at %d, before what was decided of it: records that were acknowledged are gone, or this is another log. %s "+
			"Either bring back the topic's data, or, if the topic was made anew on purpose, give it a journal and a Redis prefix of its own.", s.Ends-1, state)
	case OtherLog:
		return fmt.Sprintf("this is another log: its record at offset %d has append time %d, the one that was applied %d. %s "+
			"Either bring back the topic that Redis and journal belong to, or, if it was made anew on purpose, give it a journal and a Redis prefix of its own.",
			s.Progress.Offset, s.First, s.Progress.AppendTime, state)
	case LostJournal:
		if s.First == 0 {
			return fmt.Sprintf("the journal, whose next offset is %d, is not the one that acknowledged what was decided: facts are missing in it. %s "+
				"Either bring back the topic's data, or, if it was made anew on purpose, give all topics and Redis a prefix of their own.", s.Ends, state)
		}
		return fmt.Sprintf("Redis has to be rebuilt, but the journal begins at offset %d: it must be kept for ever (retention.ms=-1). %s "+
			"Either bring back the journal's data, or restore a Redis backup.", s.First, state)
	}
	return ""
}

func offset(n int64) string {
	if n < 0 {
		return "missing"
	}
	return fmt.Sprint(n)
}

// suspect stops the partition if the session before came to the same suspicion, else it reads everything again.
func (m *Machine) suspect(s Suspicion) {
	s.Progress, s.Committed, s.Highest = m.s.at, m.s.committed.Offset, m.s.highest
	if m.suspicion != s {
		m.suspicion, m.failures = s, 0
		m.restart(Confirm, nil)
		return
	}
	m.s.step = stepStopped
	m.s.recheckAt = m.now.Add(m.cfg.Recheck)
	if s.Loss == LostRequests {
		m.begin() // people were told what is in the outbox, and nothing casts doubt on it
	}
	if !m.stopped {
		m.stopped = true
		m.notice(Notice{Kind: Stopped, Detail: s.String()})
	}
}

// trust is the end of all suspicion.
func (m *Machine) trust() {
	if m.stopped {
		m.notice(Notice{Kind: Resumed})
	}
	m.stopped, m.suspicion = false, Suspicion{}
}
