package model

import (
	"fmt"
	"reflect"
	"strings"
)

// Issuer is the model of one partition with two issuers, A and B: services/issuer/partition over the scripts of
// services/issuer/internal/redisstore. See doc.go for which function each step mirrors.
type Issuer struct {
	*Log
	Design
	Faults
	Batch int8 // requests decided, facts emitted or restored at once: any number up to here
}

// Design is the issuer's design as switches: each takes one line of it away. Zero is the design as the code has it.
type Design struct {
	// The script.
	NoCompare    bool // it does not compare progress
	WriteFirst   bool // it writes while it decides, so that one that fails has written something
	DefineInside bool // a definition stands inside its batch: what follows is decided by the one before
	LettersLate  bool // dead letters are written once their batch is decided

	// The assignment path.
	CommitReadLate     bool // the committed offset is read last, not first
	TailLast           bool // the last record's source counts, not the highest
	RebuildOnlyMissing bool // the journal is applied to an empty Redis only
	RebuildAlways      bool // ... wherever it is ahead of progress: a weaker reading, which holds too
	JournalFirst       bool // the journal is read before progress and outbox: a weaker reading, which holds too
	ForgetOutbox       bool // what a former owner decided and did not emit stays where it is
	StartAtCommitted   bool // fetching begins at the committed offset, not after progress
	NoVerify           bool // the record at progress is not compared
	EmitUnverified     bool // the outbox is emitted before it is
	NoEndCheck         bool // nobody looks whether the log ends before progress

	// Where the log begins after the next request.
	StopAtGap       bool // stop, whatever the group's commit shows
	SkipGap         bool // go on at the log's start, whatever it shows
	MoveBare        bool // progress moves over the gap without the log time of the commit's mark
	StopUnconfirmed bool // stop on the first suspicion
	StopAtFetch     bool // who runs stops at once where its next request is gone
	NoRecheck       bool // who has stopped never reads everything again
	StopMute        bool // who has stopped does not emit what was decided

	// What it commits, emits and keeps, and where it finds itself elsewhere.
	CommitEarly      bool // the group's offset covers what is decided, not what is journaled
	CommitUnfenced   bool // the group takes commits from whoever sends one
	EmitAhead        bool // the next facts are produced before those before them are acknowledged
	TrimEarly        bool // the outbox gives up what is produced, not what is acknowledged
	KeepMemory       bool // who finds a lower progress goes back to it and keeps what it knows of definitions
	ForgetEmission   bool // ... and drops what it has not emitted
	StayOut          bool // who finds a higher progress leaves for good
	RejoinForOwnCall bool // who finds its own late call leaves the group for it
	ForgetDoubts     bool // ... if it was found where it had to be in between
	NoIdleLook       bool // with nothing to fetch, nobody looks at progress
}

// Faults is how often each may happen in one run.
type Faults struct {
	Crash    int8 // an issuer is killed
	Steal    int8 // the group gives the partition on, while its owner is only paused
	Lose     int8 // a call's result is lost: it may have taken effect, do so later, or never
	Empty    int8 // of Redis
	Rewind   int8 // of Redis to any state it had
	Failover int8 // of Redis to a replica that lags, while the old master is still written to
	Fail     int8 // a script fails in the middle
	Truncate int8 // retention drops a request
	Replace  int8 // the topic is made anew while nobody runs, as long as the old one or shorter
}

// String names those that may happen.
func (f Faults) String() string {
	var said []string
	v := reflect.ValueOf(f)
	for i := range v.NumField() {
		if n := v.Field(i).Int(); n > 0 {
			said = append(said, fmt.Sprint(strings.ToLower(v.Type().Field(i).Name), " ", n))
		}
	}
	return strings.Join(said, ", ")
}

// Init is a new partition, which A was just given.
func (m *Issuer) Init() issuerState {
	s := issuerState{redis: nowhere, saved: nowhere, old: nowhere, highest: -1, last: -1, end: m.end(), left: m.Faults}
	s.calls = [lateCalls]call{noCall, noCall}
	s.owners = [2]owner{blank(readCommitted), blank(outside)}
	return s
}

// Bad holds what is true at every moment.
func (m *Issuer) Bad(s issuerState) string {
	switch {
	case s.redis.coupon != m.states[s.redis.progress+1]:
		return fmt.Sprintf("Redis at progress %d is not what the log up to there leads to", s.redis.progress)
	case s.old.coupon != m.states[s.old.progress+1]:
		return "the old master is not what the log up to its progress leads to"
	case s.redis.kept > s.highest+1:
		return fmt.Sprintf("%v is neither in the outbox nor in the journal", m.facts[s.highest+1])
	case m.first[min(s.committed, m.end())] > s.highest+1:
		return fmt.Sprintf("offset %d is committed, and the journal lacks %v", s.committed, m.facts[s.highest+1])
	}
	for o := int8(0); o <= s.redis.progress; o++ {
		if m.records[o].kind == aDamage && s.letters&(1<<o) == 0 {
			return fmt.Sprintf("progress is beyond offset %d, which is not among the dead letters", o)
		}
	}
	return ""
}

// Good: all is decided and journaled; or the partition has stopped for a loss, and what people were told is journaled.
func (m *Issuer) Good(s issuerState) bool {
	for i, p := range s.owners {
		if p.phase == stopped && m.lost(s) && (s.replaced || s.highest+1 >= m.first[s.redis.progress+1]) {
			return true
		}
		if int(s.owner) == i && p.phase == running && p.at == m.end()-1 && s.redis.progress == p.at &&
			p.acked == p.sent && int(s.highest) == len(m.facts)-1 && !s.replaced {
			return true
		}
	}
	return false
}

// lost: requests are gone, or the log is another, and neither Redis nor journal nor commit can do without them.
func (m *Issuer) lost(s issuerState) bool {
	return s.replaced || max(s.redis.progress, m.source(s.highest), s.committed-1) < s.start-1
}

// Next gives everything that may happen.
func (m *Issuer) Next(s issuerState, out *Steps[issuerState]) {
	for i := range s.owners {
		w := &walk{Issuer: m, out: out, i: i, s: s}
		if s.onOld[i] {
			t := s
			t.onOld[i] = false
			w.add(t, "", "%s is sent to the new master", w)
			w.swap(&w.s)
			w.swapped = true
		}
		w.owner()
	}
	w := &walk{Issuer: m, out: out, s: s}
	w.lateArrivals()
	w.redisFaults()
	w.logFaults()
}

// walk gives the steps of one owner, or of the world. s is the state as that owner sees it: its Redis may be the old
// master.
type walk struct {
	*Issuer
	out     *Steps[issuerState]
	i       int
	s       issuerState
	swapped bool
}

// String is the owner's name.
func (w *walk) String() string { return string(rune('A' + w.i)) }

func (w *walk) add(t issuerState, bad, format string, args ...any) {
	w.out.Add(w.reduced(t), bad, format, args...)
}

func (w *walk) fault(t issuerState, format string, args ...any) {
	w.out.Fault(w.reduced(t), format, args...)
}

// owner gives what one issuer may do.
func (w *walk) owner() {
	w.life()
	p := w.s.owners[w.i]
	if !p.phase.active() {
		return
	}
	w.emission()
	switch p.phase {
	case running:
		w.run()
	case stopped:
		w.recheck()
	default:
		w.assign()
	}
}
