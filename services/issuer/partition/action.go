package partition

import (
	"context"
	"fmt"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
)

// Kind is what an action does.
type Kind int

// The actions, in the order in which a partition comes to them.
const (
	ReadCommitted   Kind = iota + 1 // the group's offset
	Load                            // progress and outbox
	JournalBounds                   // the journal's end
	ReadSources                     // the journal's highest source
	Bounds                          // the log's bounds
	LoadDefinitions                 // a page of definitions
	LoadWindows                     // a page of windows to be dropped
	ReadFacts                       // a piece of the journal
	RestoreFacts                    // of it into the store
	Fetch                           // requests
	DeadLetter                      // what was refused among them
	Decide                          // a batch
	Publish                         // its outcomes
	Emit                            // facts into the journal
	Commit                          // the group's offset
	LookAtProgress                  // whether the store is where it was left
)

var kindNames = [...]string{
	ReadCommitted: "read committed", Load: "load", JournalBounds: "journal bounds", ReadSources: "read sources", Bounds: "bounds",
	LoadDefinitions: "load definitions", LoadWindows: "load windows", ReadFacts: "read facts", RestoreFacts: "restore",
	Fetch: "fetch", DeadLetter: "dead letter", Decide: "decide", Publish: "publish", Emit: "emit", Commit: "commit",
	LookAtProgress: "look",
}

func (k Kind) String() string { return kindNames[k] }

// Action is something to be done. Which fields count depends on Kind.
type Action struct {
	Kind    Kind
	Session uint64 // results of an earlier one are dropped

	Offset   int64    // Fetch, ReadSources, ReadFacts: where to begin; Commit: what to commit; LookAtProgress: covered
	Above    int64    // ReadFacts
	From     int      // LoadWindows
	After    string   // LoadDefinitions
	Expected Progress // LoadDefinitions, LoadWindows, LookAtProgress
	Text     string   // Commit: metadata
	Batch    *Batch   // DeadLetter, Decide
	Restore  *Restore
	Outcomes redislayout.Outcomes // Publish
	Facts    []fcfs.Fact          // Emit
}

// String is for logs and golden files: no user ids.
func (a Action) String() string {
	switch a.Kind {
	case ReadSources, Fetch, Commit:
		return fmt.Sprintf("%v %d", a.Kind, a.Offset)
	case ReadFacts:
		return fmt.Sprintf("%v %d above %d", a.Kind, a.Offset, a.Above)
	case RestoreFacts:
		return fmt.Sprintf("%v %v -> %v", a.Kind, a.Restore.Expected, a.Restore.Next)
	case DeadLetter, Decide:
		return fmt.Sprintf("%v %v -> %v", a.Kind, a.Batch.Expected, a.Batch.Next)
	case Publish:
		return fmt.Sprintf("%v %d to %d", a.Kind, a.Outcomes.First, a.Outcomes.Last)
	case Emit:
		return fmt.Sprintf("%v %d to %d", a.Kind, a.Facts[0].Source.Offset, a.Facts[len(a.Facts)-1].Source.Offset)
	case LookAtProgress:
		return fmt.Sprintf("%v %v covered %d", a.Kind, a.Expected, a.Offset)
	}
	return a.Kind.String()
}

// Result is what became of an action.
type Result struct {
	Action
	Err         error
	Committed   Committed
	Loaded      Loaded
	Start, End  int64
	Sources     Sources
	Read        Facts
	Definitions Definitions
	Windows     Windows
	Fetched     Fetched
	Found       Progress
	Answer      Answer
	Emitted     Emitted
}

// Ports are what an action is done with.
type Ports struct {
	Requests Requests
	Store    Store
	Journal  Journal
}

// Do does one action, and blocks until it is done.
func Do(ctx context.Context, p Ports, a Action) Result {
	r := Result{Action: a}
	switch a.Kind {
	case ReadCommitted:
		r.Committed, r.Err = p.Requests.Committed(ctx)
	case Load:
		r.Loaded, r.Err = p.Store.Load(ctx)
	case JournalBounds:
		r.Start, r.End, r.Err = p.Journal.Bounds(ctx)
	case ReadSources:
		r.Sources, r.Err = p.Journal.Sources(ctx, a.Offset)
	case Bounds:
		r.Start, r.End, r.Err = p.Requests.Bounds(ctx)
	case LoadDefinitions:
		r.Definitions, r.Err = p.Store.Definitions(ctx, a.Expected, a.After)
	case LoadWindows:
		r.Windows, r.Err = p.Store.Windows(ctx, a.Expected, a.From)
	case ReadFacts:
		r.Read, r.Err = p.Journal.Facts(ctx, a.Offset, a.Above)
	case RestoreFacts:
		r.Found, r.Err = p.Store.Restore(ctx, a.Restore)
	case Fetch:
		r.Fetched, r.Err = p.Requests.Fetch(ctx, a.Offset)
	case DeadLetter:
		r.Err = p.Requests.DeadLetter(ctx, a.Batch.refused())
	case Decide:
		r = ResultOf(a, p.Store.Decide(ctx, a.Batch)[0])
	case Publish:
		r.Err = p.Store.Publish(ctx, a.Outcomes)
	case Emit:
		r.Emitted, r.Err = p.Journal.Emit(ctx, a.Facts)
	case Commit:
		r.Err = p.Requests.Commit(ctx, a.Offset, a.Text)
	case LookAtProgress:
		r.Found, r.Err = p.Store.Look(ctx, a.Expected, a.Offset)
	}
	return r
}

// ResultOf is the result of a Decide action, for who does several in one call.
func ResultOf(a Action, answer Answer) Result {
	return Result{Action: a, Err: answer.Err, Answer: answer}
}

func (b *Batch) refused() []Request {
	var refused []Request
	for _, q := range b.requests {
		if q.Refused != nil && q.Last > b.Expected.Offset {
			refused = append(refused, q)
		}
	}
	return refused
}
