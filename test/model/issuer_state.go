package model

import "fmt"

type phase int8

const (
	down phase = iota
	outside
	retreated // stepped down for good, still the owner in the group's eyes
	readCommitted
	load
	readTail
	bounds
	rebuild
	move
	verify
	running
	stopped
)

func (p phase) active() bool { return p >= readCommitted }

// issuerState is one moment of the model.
type issuerState struct {
	redis     redis
	saved     redis // what it may be rewound to, or what a replica has
	old       redis // a master that was failed over, and lives on
	hasSaved  bool
	onOld     [2]bool // who still talks to the old one
	owners    [2]owner
	owner     int8                // in the group's eyes
	highest   int8                // journal: a consumer has seen the facts up to here
	last      int8                // journal: its very last record
	late      [lateEmissions]span // produced by sessions that ended: may land at any time, or never
	calls     [lateCalls]call     // of scripts, the same
	letters   uint8               // offsets among the dead letters
	committed int8                // the group's offset; its mark has the log time of the record before
	start     int8                // of the requests log
	end       int8
	replaced  bool // the requests log is another
	left      Faults
}

const (
	lateEmissions = 3
	lateCalls     = 2
)

// redis is a partition's slot. The outbox holds the facts from kept up to progress.
type redis struct {
	progress, kept int8
	coupon         Coupon
}

var nowhere = redis{progress: -1}

// span is facts from one up to, not including, the other.
type span struct{ from, to int8 }

// call is a script call that decides the requests after from, up to to.
type call struct{ from, to int8 }

var noCall = call{-2, -2}

// owner is one process. All of it is memory: lost when it is killed, stale in one that was paused.
type owner struct {
	phase     phase
	at        int8 // progress as last compared
	known     int8 // progress up to which definitions are known, where that is not at
	committed int8 // as read, then as committed
	tail      int8 // highest fact in the journal as read
	next      int8 // outbox as loaded; then the next fact to restore; then where fetching begins
	fetched   int8 // requests below are in memory

	acked, landed, sent int8 // facts below are acknowledged, in the journal, produced
	letter              int8 // dead letters up to here are acknowledged
	doubtful            uint8
	suspicion           suspicion
	sawLoss             bool // at some moment since the suspicion there was one
}

// suspicion is what seemed lost, and by what.
type suspicion struct {
	set                        bool
	at, committed, tail, start int8
}

func blank(p phase) owner { return owner{phase: p, at: -1, tail: -1, letter: -1} }

// pushed: facts below are decided, as far as this process knows.
func (m *Issuer) pushed(p owner) int8 { return max(p.sent, m.first[p.at+1]) }

// covered is the progress that the journal has all facts of.
func (m *Issuer) covered(p owner) int8 {
	if m.CommitEarly || p.acked >= m.first[p.at+1] {
		return p.at
	}
	return m.source(p.acked) - 1
}

// leave ends a process' part in the partition: it forgets all. What it has on the way to the broker may still land.
func (s *issuerState) leave(i int, to phase) {
	if p := s.owners[i]; p.landed < p.sent {
		s.orphan(span{p.landed, p.sent})
	}
	s.owners[i] = blank(to)
}

// restart begins a new session of the same process.
func (s *issuerState) restart(i int) {
	was := s.owners[i]
	s.leave(i, readCommitted)
	p := &s.owners[i]
	p.suspicion, p.doubtful = was.suspicion, was.doubtful
	p.sawLoss = was.sawLoss && was.suspicion.set
}

// orphan keeps late emissions in one order, since they have none.
func (s *issuerState) orphan(f span) {
	for k := range s.late {
		if s.late[k] == (span{}) {
			s.late[k] = f
			break
		}
	}
	sortSpans(&s.late)
}

func sortSpans(l *[lateEmissions]span) {
	for a := range l {
		for b := a + 1; b < len(l); b++ {
			if l[b].to > l[a].to || l[b].to == l[a].to && l[b].from > l[a].from {
				l[a], l[b] = l[b], l[a]
			}
		}
	}
}

// land appends a fact to the journal, and plays the consumer that drops what is not above the highest it has seen.
func (m *Issuer) land(s *issuerState, fact int8) string {
	s.last = fact
	switch {
	case fact <= s.highest:
		return ""
	case fact > s.highest+1:
		return fmt.Sprintf("consumers take %v, and will drop %v as a duplicate when it comes", m.facts[fact], m.facts[s.highest+1])
	}
	s.highest = fact
	return ""
}

// reduced puts the Redis of an owner back in its place, and takes out of a state what can make no difference any more.
func (w *walk) reduced(t issuerState) issuerState {
	if w.swapped {
		w.swap(&t)
	}
	if !t.onOld[0] && !t.onOld[1] {
		t.old = nowhere
	}
	if !w.TailLast { // there the very last record counts
		t.last = t.highest
		for k, f := range t.late {
			if f.to <= t.highest+1 { // nothing but duplicates
				t.late[k] = span{}
			}
		}
		sortSpans(&t.late)
	}
	w.reduceCalls(&t)
	w.reduceOwners(&t)
	return t
}

// reduceCalls takes out late calls that can't find what they expect any more, where progress only grows.
func (w *walk) reduceCalls(t *issuerState) {
	f := w.Faults
	if f.Empty+f.Rewind+f.Failover > 0 || w.NoCompare {
		return
	}
	for k, c := range t.calls {
		if c.from < t.redis.progress {
			t.calls[k] = noCall
		}
	}
	if c := t.calls; c[0].from < c[1].from {
		t.calls = [lateCalls]call{c[1], c[0]}
	}
	for i := range t.owners {
		t.owners[i].doubtful &^= 1<<max(t.redis.progress, 0) - 1
	}
}

func (w *walk) swap(s *issuerState) { s.redis, s.old = s.old, s.redis }

func (w *walk) reduceOwners(t *issuerState) {
	lost := w.Faults.Truncate > 0 && w.lost(*t)
	for i := range t.owners {
		p := &t.owners[i]
		p.sawLoss = p.phase.active() && p.phase != running && (p.sawLoss || lost)
		if p.phase == running || p.phase == stopped {
			p.tail = -1
		}
		if w.Faults.Lose == 0 {
			p.doubtful = 0 // it is for calls that may still arrive
		}
		if w.Faults.Truncate == 0 {
			p.fetched = 0
			if !w.StartAtCommitted {
				p.committed = 0
			}
		}
	}
	if w.Faults.Truncate == 0 && !w.StartAtCommitted && !w.CommitEarly {
		t.committed = 0
	}
}
