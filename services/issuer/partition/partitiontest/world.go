// Package partitiontest is everything around the loop of a partition, in memory: the requests log with its retention, the
// group, Redis, the journal and the dead letters' topic, each of which can fail before or after it took effect. It knows
// what the log leads to (fcfs.Log, the dumb model) and notes every breach of a promise at the moment it happens.
package partitiontest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// Errors of the ports.
var (
	ErrInjected = errors.New("injected")
	ErrFenced   = errors.New("no longer a member of the group")
)

// World is one partition. Not safe for concurrent use: whoever drives it does one thing after another.
type World struct {
	Partition   int32
	Log         []partition.Request // all that was ever asked, by offset
	Start       int64               // of the log: what is below was dropped by retention
	End         int64
	Committed   partition.Committed
	Owner       int // in the group's eyes; commits of others are refused
	Store       *Store
	other       partition.Store // instead of Store
	Journal     []fcfs.Fact     // every record, duplicates included
	Cut         int64           // what of the journal is gone, which should never be
	Letters     map[int64]int
	Breaches    []string
	FetchMost   int // requests in one fetch; 5 when 0
	JournalPage int // facts in one reading of the journal; 4 when 0

	oracle   *fcfs.Log
	outcomes map[int64]fcfs.Outcome
	sequence map[int64]int64
	facts    []fcfs.Fact                 // the journal as it has to be
	taken    int                         // of facts: what a consumer that drops duplicates by source has seen
	decided  int64                       // highest offset that progress ever had
	states   map[int64]map[string]string // see stateAt
}

// NewWorld is a world in which nothing was asked yet.
func NewWorld(number int32) *World {
	w := &World{
		Committed: partition.Committed{Offset: -1}, Letters: map[int64]int{},
		Partition: number, oracle: fcfs.NewLog(number), outcomes: map[int64]fcfs.Outcome{}, sequence: map[int64]int64{}, decided: -1,
		states: map[int64]map[string]string{},
	}
	w.Store = newStore(w)
	return w
}

func (w *World) breach(format string, args ...any) {
	w.Breaches = append(w.Breaches, fmt.Sprintf(format, args...))
}

// Append adds a record after some offsets that have none (markers of transactions, say).
func (w *World) Append(gap int64, q partition.Request) {
	span := q.Last - q.Offset
	q.Offset = w.End + gap
	q.Last = q.Offset + span
	w.End = q.Last + 1
	w.Log = append(w.Log, q)
	fact := w.decide(q)
	if fact != nil {
		w.facts = append(w.facts, *fact)
	}
}

func (w *World) decide(q partition.Request) *fcfs.Fact {
	var fact *fcfs.Fact
	outcome := fcfs.Invalid
	switch {
	case q.Refused != nil:
		w.oracle.Invalid(q.Last, q.Time)
	case q.Definition != nil:
		outcome, fact = w.oracle.Define(q.Offset, q.Time, *q.Definition)
	default:
		var d fcfs.Decision
		d, fact = w.oracle.Claim(q.Offset, q.Time, q.CouponID, q.UserID)
		outcome, w.sequence[q.Offset] = d.Outcome, d.Sequence
	}
	for o := max(q.Offset, q.Last-1<<16); o <= q.Last; o++ { // nobody is told of more
		w.outcomes[o] = outcome
	}
	if fact != nil {
		fact.CorrelationID, fact.TraceParent = q.CorrelationID, q.TraceParent
	}
	return fact
}

// Drop lets retention drop what is below an offset.
func (w *World) Drop(start int64) { w.Start = max(w.Start, min(start, w.End)) }

// GiveUp is an operator's word: the requests below an offset that were not decided are as if never asked.
func (w *World) GiveUp(below int64) {
	log := w.Log
	w.Log, w.facts, w.states = nil, nil, map[int64]map[string]string{}
	w.oracle, w.outcomes, w.sequence = fcfs.NewLog(w.Partition), map[int64]fcfs.Outcome{}, map[int64]int64{}
	for _, q := range log {
		if q.Offset > w.decided && q.Offset < below {
			continue
		}
		w.Log = append(w.Log, q)
		if fact := w.decide(q); fact != nil {
			w.facts = append(w.facts, *fact)
		}
	}
}

// Covered tells whether the facts of all requests below an offset are in the journal.
func (w *World) Covered(offset int64) bool {
	return w.taken == len(w.facts) || w.facts[w.taken].Source.Offset >= offset
}

// Whole tells whether nothing was lost to a partition whose Redis is at that progress: the log does not begin beyond a fact
// that is not in the journal, nor beyond both what was committed and what Redis has.
func (w *World) Whole(progress int64) bool {
	return w.Covered(w.Start) && (w.Committed.Offset >= w.Start || progress >= w.Start-1)
}

// Outcome is what the log leads to for an offset, and the sequence of a grant.
func (w *World) Outcome(offset int64) (fcfs.Outcome, int64) {
	return w.outcomes[offset], w.sequence[offset]
}

// Land appends facts to the journal and plays the consumer.
func (w *World) Land(facts ...fcfs.Fact) {
	for _, f := range facts {
		w.Journal = append(w.Journal, f)
		if w.taken > 0 && f.Source.Offset <= w.facts[w.taken-1].Source.Offset {
			if !w.known(f) {
				w.breach("the journal holds a fact of offset %d that the log never led to: %+v", f.Source.Offset, f)
			}
			continue
		}
		if w.taken == len(w.facts) || !reflect.DeepEqual(f, w.facts[w.taken]) {
			w.breach("the journal goes on with %s, where another fact comes next", describe(f))
			continue
		}
		w.taken++
		w.landNewer()
	}
}

// landNewer plays an issuer of a newer version that decides beside the others: it has a record in the journal for some of
// the requests that are dead letters to them.
func (w *World) landNewer() {
	for _, q := range w.Log[w.indexOf(w.facts[w.taken-1].Source.Offset+1):] {
		if q.Last > w.decided || !w.Covered(q.Offset) {
			return
		}
		if q.Refused != nil && q.Refused.Reason == event.ReasonUnknownType {
			w.LandNewer(q.Offset)
		}
	}
}

// LandNewer appends what only a newer version can read.
func (w *World) LandNewer(source int64) {
	w.Journal = append(w.Journal, fcfs.Fact{
		Source: fcfs.Source{Partition: w.Partition, Offset: source}, LogTime: w.UpTo(source).LogTime(),
	})
}

func (w *World) known(f fcfs.Fact) bool {
	for i := range w.facts {
		if reflect.DeepEqual(w.facts[i], f) {
			return true
		}
	}
	return false
}

func describe(f fcfs.Fact) string {
	if f.Granted == nil && f.Defined == nil {
		return fmt.Sprintf("%d: of a newer type", f.Source.Offset)
	}
	if f.Granted != nil {
		return fmt.Sprintf("%d: %+v", f.Source.Offset, *f.Granted)
	}
	return fmt.Sprintf("%d: %+v", f.Source.Offset, *f.Defined)
}

// Use puts another store in the place of Store, which then stays empty and is compared with nothing. For a Walk it must be
// Losable.
func (w *World) Use(s partition.Store) { w.other = s }

// Losable is a store whose state can be lost.
type Losable interface {
	Progress() partition.Progress
	Empty()
	// Snapshot remembers everything; rewind goes back to it.
	Snapshot() (rewind func())
}

func (w *World) losable() Losable {
	if w.other != nil {
		return w.other.(Losable)
	}
	return w.Store
}

// Reached is told by a store that has moved progress. It notes a breach where a record that was refused on the way there is
// not among the dead letters.
func (w *World) Reached(to partition.Progress) {
	for i := w.indexOf(w.decided + 1); i < len(w.Log) && w.Log[i].Last <= to.Offset; i++ {
		if q := w.Log[i]; q.Refused != nil && w.Letters[q.Offset] == 0 {
			w.breach("progress is beyond offset %d, which is not among the dead letters", q.Offset)
		}
	}
	w.decided = max(w.decided, to.Offset)
}

// Decided is the highest offset that progress ever had.
func (w *World) Decided() int64 { return w.decided }

// indexOf is the place in Log of the first request that reaches to an offset or beyond.
func (w *World) indexOf(offset int64) int {
	i, _ := slices.BinarySearchFunc(w.Log, offset, func(q partition.Request, offset int64) int { return int(q.Last - offset) })
	return i
}

// Ports are the world as one of its owners sees it.
func (w *World) Ports(owner int) partition.Ports {
	p := partition.Ports{Requests: requests{w, owner}, Store: w.Store, Journal: journal{w}}
	if w.other != nil {
		p.Store = w.other
	}
	return p
}

type requests struct {
	*World
	owner int
}

func (r requests) Committed(context.Context) (partition.Committed, error) {
	return r.World.Committed, nil
}

func (r requests) Bounds(context.Context) (start, end int64, err error) { return r.Start, r.End, nil }

func (r requests) Fetch(_ context.Context, offset int64) (partition.Fetched, error) {
	if offset < r.Start || offset > r.End {
		return partition.Fetched{}, &partition.RangeError{Asked: offset, Start: r.Start, End: r.End}
	}
	f := partition.Fetched{End: r.End, Next: offset}
	most := 5
	if r.FetchMost > 0 {
		most = r.FetchMost
	}
	from := r.indexOf(offset)
	f.Requests = append(f.Requests, r.Log[from:min(from+most, len(r.Log))]...)
	if n := len(f.Requests); n > 0 {
		f.Next = f.Requests[n-1].Last + 1
	}
	return f, nil
}

func (r requests) DeadLetter(_ context.Context, refused []partition.Request) error {
	for _, q := range refused {
		r.Letters[q.Offset]++
	}
	return nil
}

func (r requests) Commit(_ context.Context, offset int64, metadata string) error {
	if r.owner != r.Owner {
		return ErrFenced
	}
	if !r.Covered(offset) {
		r.breach("offset %d is committed, though the journal lacks the fact of %d", offset, r.facts[r.taken].Source.Offset)
	}
	r.World.Committed = partition.Committed{Offset: offset, Metadata: metadata}
	return nil
}

type journal struct{ *World }

func (j journal) Bounds(context.Context) (start, end int64, err error) {
	return j.Cut, int64(len(j.Journal)), nil
}

func (j journal) page(offset int64) []fcfs.Fact {
	most := 4
	if j.JournalPage > 0 {
		most = j.JournalPage
	}
	return j.Journal[offset:min(offset+int64(most), int64(len(j.Journal)))]
}

func (j journal) Sources(_ context.Context, offset int64) (partition.Sources, error) {
	s := partition.Sources{Offset: offset, Next: offset, First: -1, Highest: -1, Last: -1}
	for i, f := range j.page(offset) {
		if i == 0 {
			s.First = f.Source.Offset
		}
		s.Last, s.Next = f.Source.Offset, s.Next+1
		s.Highest = max(s.Highest, s.Last)
	}
	return s, nil
}

func (j journal) Facts(_ context.Context, offset, above int64) (partition.Facts, error) {
	r := partition.Facts{Next: offset}
	for _, f := range j.page(offset) {
		r.Next++
		if f.Source.Offset > above {
			r.Facts = append(r.Facts, f)
			if f.Defined == nil && f.Granted == nil {
				r.Unknown = "a newer type"
			}
		}
	}
	return r, nil
}

func (j journal) Emit(_ context.Context, facts []fcfs.Fact) (partition.Emitted, error) {
	first := int64(len(j.Journal))
	j.Land(facts...)
	return partition.Emitted{First: first, Last: int64(len(j.Journal)) - 1}, nil
}

// Published compares what people are told with what the log leads to.
func (w *World) Published(o redislayout.Outcomes) {
	o.Encode() // panics if its parts do not fit
	for i, got := range o.Outcomes {
		if at := o.First + int64(i); got != w.outcomes[at] {
			w.breach("offset %d is told %v, the log says %v", at, got, w.outcomes[at])
		}
	}
	for at, d := range o.All() {
		if d.Outcome == fcfs.Granted && d.Sequence != w.sequence[at] {
			w.breach("offset %d is told sequence %d, the log says %d", at, d.Sequence, w.sequence[at])
		}
	}
}

// Claim, Define and Refuse make requests for Append.
func Claim(t fcfs.Millis, coupon, user string) partition.Request {
	return partition.Request{
		Time: t, CouponID: coupon, UserID: user,
		CorrelationID: "claim of " + coupon, TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
}

// Define makes a definition.
func Define(t fcfs.Millis, d fcfs.Definition) partition.Request {
	return partition.Request{Time: t, CouponID: d.CouponID, Definition: &d}
}

// RefuseNewer makes a record of a type that only a newer version knows.
func RefuseNewer(t fcfs.Millis) partition.Request {
	q := Refuse(t, 1)
	q.Refused.Reason = event.ReasonUnknownType
	return q
}

// Refuse makes a record that cannot be read, over some offsets.
func Refuse(t fcfs.Millis, offsets int64) partition.Request {
	return partition.Request{Time: t, Last: offsets - 1, Refused: &partition.Refusal{Reason: event.ReasonMalformed}}
}
