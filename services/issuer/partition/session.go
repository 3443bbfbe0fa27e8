package partition

import (
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
)

type step int

const (
	stepCommitted step = iota
	stepLoad
	stepJournal
	stepTail
	stepBounds
	stepDefinitions
	stepWindows
	stepRebuild
	stepMove
	stepRunning
	stepStopped
)

var stepWaits = [...]string{
	stepCommitted: "the group's offset", stepLoad: "Redis", stepJournal: "the journal", stepTail: "the journal's end",
	stepBounds: "the requests log", stepDefinitions: "the definitions", stepWindows: "the definitions",
	stepRebuild: "the rebuild from the journal", stepMove: "Redis", stepRunning: "", stepStopped: "an operator",
}

// String is what is waited for.
func (s step) String() string { return stepWaits[s] }

// session is what one owner has in memory between two readings of everything.
type session struct {
	step step
	busy bool // an action of the assignment path is under way

	committed  Committed
	mark       commitMark // from its metadata
	at         Progress   // what the store had when it last answered
	kept       []Decided  // the outbox as loaded
	highest    int64      // highest source in the journal when it was read: facts up to there need no emission
	start, end int64      // of the log
	catalog    *catalog
	loaded     bool // the catalog is what the store has at progress
	after      string
	windows    int

	journalStart, journalEnd int64
	tail                     Tail // being read
	shrunk                   bool // the journal lacks records that it acknowledged
	compare                  bool // the tail is a known one, and not yet compared
	rebuild                  rebuild

	running
}

// rebuild reads the journal and restores what it says, side by side.
type rebuild struct {
	done      bool
	next      int64 // journal offset to read from
	reading   bool
	restoring bool
	highest   int64       // source of the last fact that was kept
	facts     []fcfs.Fact // not given to the store
	restored  int
	passed    int    // facts of types that are not known
	unknown   string // names one of these
}

// running is what a session that decides has besides.
type running struct {
	tip          Progress // what all batches given out will have led to
	verify       bool     // the record at progress has not been compared with what was stored of it
	next         int64    // offset to fetch
	fetching     bool
	buffer       []Request // fetched, not in a batch
	chain        []*Batch  // given to the store, not answered
	held         *Batch    // waits for the dead letters' topic
	letter       bool      // the dead letters are under way
	acknowledged bool      // the topic has them
	outbox       outbox
	emits        bool // the outbox may be emitted: it is known to be this log's
	looking      bool
	commits      bool // a commit is under way
	commitFailed bool // the last one failed

	retryAt   time.Time // of the dead letters
	lookAt    time.Time
	commitAt  time.Time
	recheckAt time.Time
	trimmed   int64 // the store has given up its outbox up to here
}

func newSession() *session {
	return &session{at: Nothing, highest: -1, catalog: newCatalog(), running: running{trimmed: -1, outbox: outbox{covered: Nothing}}}
}

// outbox is the facts that the journal has not acknowledged, in order, with the progress marks between them.
type outbox struct {
	facts         []fcfs.Fact
	inFlight      int // the first of them are being produced
	pushed, acked int // ever
	marks         []mark
	covered       Progress // the journal has all facts up to here
}

// mark says that a progress is covered once so many facts were acknowledged.
type mark struct {
	facts    int
	progress Progress
}

// push takes the facts of a batch and the progress that it led to.
func (o *outbox) push(p Progress, facts []fcfs.Fact) {
	o.facts = append(o.facts, facts...)
	o.pushed += len(facts)
	if n := len(o.marks); n > 0 && o.marks[n-1].facts == o.pushed {
		o.marks[n-1].progress = p // only refusals since
	} else {
		o.marks = append(o.marks, mark{o.pushed, p})
	}
	o.ack(0)
}

func (o *outbox) ack(n int) {
	clear(o.facts[:n])
	o.facts = o.facts[n:]
	o.acked += n
	for len(o.marks) > 0 && o.marks[0].facts <= o.acked {
		o.covered = o.marks[0].progress
		o.marks = o.marks[1:]
	}
}

// above leaves out the facts that the journal had already.
func above(highest int64, facts []fcfs.Fact) []fcfs.Fact {
	for len(facts) > 0 && facts[0].Source.Offset <= highest {
		facts = facts[1:]
	}
	return facts
}
