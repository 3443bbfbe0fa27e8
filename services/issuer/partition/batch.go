package partition

import (
	"github.com/firstcome/firstcome/internal/fcfs"
)

// Batch is what one call of the store decides: everything that can be told from the definitions at Expected is told
// already, and left is only what needs to know who holds what. Nothing in it is ever changed once it was given out.
type Batch struct {
	Expected, Next Progress
	Covered        int64    // the outbox up to this offset is acknowledged by the journal
	Drops          []Window // retired by the log time of this batch's first record
	Groups         []Group  // claims that passed all rules but the person's
	Define         *Define  // a definition is the last record of its batch

	requests []Request
	outcomes []fcfs.Outcome // of offsets Expected.Offset + 1 to Next.Offset; of the claims in Groups not yet
	letters  bool           // some of the requests go to the dead letters first
	answer   *Answer
}

// Requests are the records of the batch.
func (b *Batch) Requests() []Request { return b.requests }

// Group is the claims of one window, in the order of the log.
type Group struct {
	Window
	Limit   int64
	DropAt  fcfs.Millis // 0: the window has none, or it stands there already
	SoldOut bool        // all of it was granted before: no claim here is going to be
	Claims  []Claim
}

// Claim is a claim that passed all rules but the person's.
type Claim struct {
	Offset                             int64
	Time, LogTime                      fcfs.Millis
	UserID, CorrelationID, TraceParent string
}

// Define is a definition that passed all rules but one.
type Define struct {
	Fact   fcfs.Fact
	Count  int         // of definitions, with this one
	Frozen bool        // its window or time zone is another: refused if anything was ever granted, in this batch too
	Full   bool        // there are as many definitions as there may be: refused in any case, the rule above goes first
	DropAt fcfs.Millis // of window "", 0: it has none (any more)
	Drop   bool        // window "" is retired at once
}

// Answer is what the store made of a batch: Err says that it is not known whether it took effect; Found, if not the
// batch's Expected, that it did not.
type Answer struct {
	Err    error
	Found  Progress
	Groups []Outcomes   // one for each group
	Define fcfs.Outcome // Created (or Changed), Conflict, Invalid
}

// Outcomes of one group: Granted, AlreadyIssued or SoldOut for each claim. Before is how many were granted before, so
// that the grants have sequence Before + 1 and so on.
type Outcomes struct {
	Before   int64
	Outcomes []fcfs.Outcome
}

// Restore is a piece of the journal to be taken into the store; without facts it only moves progress.
type Restore struct {
	Expected, Next Progress
	Drops          []Window
	Defined        []Define // in order
	Granted        []Restored
}

// Restored is what the journal says of one window, in order.
type Restored struct {
	Window
	DropAt  fcfs.Millis // as in Group
	Entries []Entry     // with growing sequences
}

// Entry is a person's place in a window.
type Entry struct {
	UserID string
	fcfs.Entry
}
