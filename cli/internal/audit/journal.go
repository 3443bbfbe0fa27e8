package audit

import (
	"context"
	"fmt"
	"strings"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

// journal reads a partition of the journal beside the log, as a consumer that drops duplicates sees it, and compares every
// record with the bytes that it must have.
type journal struct {
	*look
	stream    *stream
	originals originals
	highest   int64 // source of all records so far; -1: none
	ahead     *journalRecord
	late      bool // what is missing was waited for already
}

// journalRecord is one that is no duplicate.
type journalRecord struct {
	event.Record
	source int64
}

func newJournal(l *look, has span) *journal {
	return &journal{
		look: l, highest: -1, stream: newStream(l.client, l.grants, l.partition, has.start, has.end, l.passed),
		originals: originals{client: l.client, topic: l.grants, partition: l.partition},
	}
}

// next is the journal offset after all records that were compared.
func (j *journal) next() int64 {
	if j.ahead != nil {
		return j.ahead.Offset
	}
	return j.stream.Position()
}

// meet compares what the journal has of the requests up to those of a decision.
func (j *journal) meet(ctx context.Context, d *decision) error {
	for {
		r, err := j.peek(ctx)
		switch {
		case err != nil:
			return err
		case r == nil && d.fact != nil:
			came, err := j.await(ctx, d.fact.Source.Offset)
			if err != nil {
				return err
			}
			if came {
				continue
			}
			j.missing(*d.fact)
			return nil
		case r == nil || r.source > d.last:
			if d.fact != nil {
				j.missing(*d.fact)
			}
			return nil
		}
		j.ahead = nil
		if d.fact == nil || r.source != d.fact.Source.Offset {
			j.extra(*r, d)
			continue
		}
		if j.compare(*r, *d.fact) {
			return nil
		}
	}
}

// finish reads on to where the journal ended when the comparison began: late duplicates may stand there. Records of
// requests after progress came later.
func (j *journal) finish(ctx context.Context, progress int64) error {
	for {
		r, err := j.peek(ctx)
		if err != nil || r == nil {
			return err
		}
		j.ahead = nil
		if r.source <= progress {
			j.extra(*r, nil)
		}
	}
}

// peek gives the next record that is no duplicate; nil at the end.
func (j *journal) peek(ctx context.Context) (*journalRecord, error) {
	for j.ahead == nil {
		r, ok, err := j.stream.Record(ctx)
		if err != nil || !ok {
			return nil, err
		}
		j.compared.Journal++
		source, ok := event.SourceOf(r)
		switch {
		case !ok || r.Err != nil || source.Partition != j.partition:
			j.foreign(r)
		case source.Offset <= j.highest:
			j.compared.Duplicates++
			if err := j.duplicate(ctx, r, source.Offset); err != nil {
				return nil, err
			}
		default:
			j.highest = source.Offset
			j.originals.mark(source.Offset, r.Offset)
			j.ahead = &journalRecord{r, source.Offset}
		}
	}
	return j.ahead, nil
}

// compare says whether the record is the fact at all, however wrong.
func (j *journal) compare(r journalRecord, want fcfs.Fact) bool {
	m, err := message(j.requests, want)
	if err != nil {
		j.add(about(placeJournal, Wrong, want, "%s cannot be written: %v", name(want), err))
		return true
	}
	how := bytesDiffer(m, r.Record)
	if how == "" {
		return true
	}
	if j.unknown(r) {
		return false
	}
	got, err := readFact(r.Record)
	if err != nil {
		j.unreadable(r.Record, err)
		return true
	}
	if members := differing(want, got); len(members) > 0 {
		j.add(about(placeJournal, Wrong, want, "%s is wrong: %s", name(want), strings.Join(members, ", ")))
		return true
	}
	j.add(about(placeJournal, Wrong, want, "%s is not written as it must be at journal offset %d: %s", name(want), r.Offset, how))
	return true
}

func (j *journal) missing(f fcfs.Fact) {
	j.add(missing(placeJournal, f))
	j.lacks(f.Source.Offset)
}

func (j *journal) extra(r journalRecord, d *decision) {
	if !j.looksAt(r.Key) || j.unknown(r) {
		return
	}
	f, err := readFact(r.Record)
	if err != nil {
		j.unreadable(r.Record, err)
		return
	}
	j.add(extra(placeJournal, f, d))
}

// unknown counts a record of a type that later versions know: everybody passes over it.
func (j *journal) unknown(r journalRecord) bool {
	if !unknownType(r.Record) {
		return false
	}
	j.compared.Unknown++
	return true
}

func unknownType(r event.Record) bool {
	_, err := event.Decode(r)
	d, ok := err.(*event.DecodeError)
	return ok && d.Reason == event.ReasonUnknownType
}

// foreign takes a record that names no request of this partition.
func (j *journal) foreign(r event.Record) {
	switch e, err := event.Decode(r); {
	case !j.looksAt(r.Key):
	case unknownType(r):
		j.compared.Unknown++
	case err != nil:
		j.unreadable(r, err)
	default:
		j.add(inPartition(placeJournal, Unfounded, j.partition, "the record at journal offset %d (%s) does not come from a request of this partition", r.Offset, e.Type))
	}
}

func (j *journal) unreadable(r event.Record, err error) {
	j.add(inPartition(placeJournal, Wrong, j.partition, "the record at journal offset %d cannot be read: %v", r.Offset, err))
}

// duplicate compares a record that consumers drop with the one that they took for the same request: that one is, or is
// not, as the log says.
func (j *journal) duplicate(ctx context.Context, r event.Record, source int64) error {
	if !j.looksAt(r.Key) {
		return nil
	}
	original, ok, err := j.originals.find(ctx, source, r.Offset)
	if err != nil {
		return err
	}
	say := func(kind Kind, format string, args ...any) {
		d := inPartition(placeJournal, kind, j.partition, "the record at journal offset %d (source %d/%d) ", r.Offset, j.partition, source)
		d.Offset, d.Sentence = source, d.Sentence+fmt.Sprintf(format, args...)
		j.add(d)
	}
	switch how := recordsDiffer(original, r); {
	case ok && how != "":
		say(Wrong, "is a duplicate of the one at journal offset %d, and not the same: %s", original.Offset, how)
	case !ok && j.lacking[source]:
		say(OutOfOrder, "stands after one of source %d/%d: out of log order, so every consumer drops it", j.partition, j.highest)
	case !ok:
		say(Unfounded, "is a duplicate of nothing: it stands after one of source %d/%d, and the log does not lead to it", j.partition, j.highest)
	}
	return nil
}

// await waits at the journal's end for the fact of an offset, as long as an issuer has it in the outbox or has still to
// decide it. False: it is missing.
func (j *journal) await(ctx context.Context, offset int64) (bool, error) {
	if j.late {
		return false, nil
	}
	over := false
	came, err := j.until(ctx, func() (bool, error) {
		pending, err := j.pending(ctx, offset) // before the end is asked for: what was acknowledged by then is in the journal
		if err != nil {
			return false, err
		}
		has, err := bounds(ctx, j.client, j.grants, j.partition)
		if err != nil {
			return false, err
		}
		over = has.end <= j.stream.end
		j.stream.end = max(j.stream.end, has.end)
		return !over || !pending, nil
	})
	if err != nil {
		return false, err
	}
	if !came {
		j.late = true
		j.add(inPartition(placeLog, Behind, j.partition, "after %s the issuer has decided facts that are not in the journal, which ends at offset %d", j.Timeout, j.stream.end))
	}
	return came && !over, nil
}

// recordsDiffer compares two records of one request.
func recordsDiffer(want, got event.Record) string {
	m := event.Message{Key: want.Key, Value: want.Value, Headers: want.Headers, Time: want.Time}
	if want.LogAppendTime {
		m.Time = got.Time
	}
	return bytesDiffer(m, got)
}
