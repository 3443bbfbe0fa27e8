package issuer

import (
	"context"
	"errors"
	"fmt"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// journal is a partition of the journal.
type journal struct {
	requests  string // full name of the requests topic
	partition int32
	reader    Reader
	publisher Publisher
}

// Reader reads one partition of a topic, as a consumer.Log does.
type Reader interface {
	Fetch(ctx context.Context, offset int64) (consumer.Fetched, error)
	Bounds(ctx context.Context) (start, end int64, err error)
}

// Publisher appends to a topic; a *producer.Producer is one. PublishTo returns once all are acknowledged.
type Publisher interface {
	PublishTo(ctx context.Context, partition int32, messages ...event.Message) ([]producer.Ack, error)
}

// NewJournal is the port of a partition.Machine to its partition of the journal. requests is the full name of the requests
// topic.
func NewJournal(requests string, number int32, reader Reader, publisher Publisher) partition.Journal {
	return &journal{requests: requests, partition: number, reader: reader, publisher: publisher}
}

func (j *journal) Bounds(ctx context.Context) (start, end int64, err error) {
	return j.reader.Bounds(ctx)
}

// source is the offset of the request that a record came from, -1 for a record that is not of this journal.
func (j *journal) source(r event.Record) int64 {
	if s, ok := event.SourceOf(r); ok && s.Partition == j.partition {
		return s.Offset
	}
	return -1
}

func (j *journal) Sources(ctx context.Context, offset int64) (partition.Sources, error) {
	f, err := j.reader.Fetch(ctx, offset)
	if err != nil {
		return partition.Sources{}, err
	}
	s := partition.Sources{Offset: offset, Next: f.Next, First: -1, Highest: -1, Last: -1}
	for i, r := range f.Records {
		if r.Err != nil {
			return partition.Sources{}, unreadable(r)
		}
		s.Last = j.source(r)
		s.Highest = max(s.Highest, s.Last)
		if i == 0 {
			s.Offset, s.First = r.Offset, s.Last
		}
	}
	return s, nil
}

func (j *journal) Facts(ctx context.Context, offset, above int64) (partition.Facts, error) {
	f, err := j.reader.Fetch(ctx, offset)
	if err != nil {
		return partition.Facts{}, err
	}
	facts := partition.Facts{Next: f.Next}
	for _, r := range f.Records {
		if r.Err != nil {
			return partition.Facts{}, unreadable(r)
		}
		if j.source(r) <= above {
			continue
		}
		fact, err := ReadFact(r)
		if unknown := unknownType(err); unknown != nil {
			fact, facts.Unknown = unknownFact(r), unknown.Detail
		} else if err != nil {
			return partition.Facts{}, fmt.Errorf("journal record at offset %d: %w", r.Offset, err)
		}
		facts.Facts = append(facts.Facts, fact)
	}
	return facts, nil
}

// unreadable is a batch of the journal that nobody can tell the sources of: to pass it over could lose who has a coupon.
func unreadable(r event.Record) error {
	return fmt.Errorf("journal records at offset %d to %d: %w", r.Offset, r.LastOffset, r.Err)
}

func unknownType(err error) *event.DecodeError {
	var bad *event.DecodeError
	if errors.As(err, &bad) && bad.Reason == event.ReasonUnknownType {
		return bad
	}
	return nil
}

// unknownFact is what a record of a newer issuer's type says to this one: that the request of its source is done with, and
// the log time after it. See docs/adr/0005.
func unknownFact(r event.Record) fcfs.Fact {
	source, _ := event.SourceOf(r)
	f := fcfs.Fact{Source: fcfs.Source(source)}
	if o, err := event.ParseObject(r.Value); err == nil {
		f.LogTime = fcfs.FromTime(o.Time("log_time"))
	}
	return f
}

func (j *journal) Emit(ctx context.Context, facts []fcfs.Fact) (partition.Emitted, error) {
	messages := make([]event.Message, len(facts))
	for i, f := range facts {
		m, err := FactMessage(j.requests, f)
		if err != nil {
			return partition.Emitted{}, fmt.Errorf("fact of offset %d: %w", f.Source.Offset, err)
		}
		messages[i] = m
	}
	acks, err := j.publisher.PublishTo(ctx, j.partition, messages...)
	if err != nil {
		return partition.Emitted{}, err
	}
	return partition.Emitted{First: acks[0].Offset, Last: acks[len(acks)-1].Offset}, nil
}

// FactMessage is the journal record of a fact: the same bytes whenever it is made. requests is the full name of the
// requests topic.
func FactMessage(requests string, f fcfs.Fact) (event.Message, error) {
	meta := event.Meta{
		ID: fcfs.GrantID(requests, f.Source), Source: event.JournalSource(requests, f.Source.Partition),
		Time: f.RequestedAt.Time(), CorrelationID: f.CorrelationID, TraceParent: f.TraceParent,
	}
	source := event.Source(f.Source)
	if d := f.Defined; d != nil {
		return event.CouponDefined{
			CouponID: d.CouponID, Limit: d.Limit, Window: string(d.Window), TimeZone: d.TimeZone,
			OpensAt: d.OpensAt.Time(), ClosesAt: d.ClosesAt.Time(), Rules: d.Rules,
			RequestedAt: f.RequestedAt.Time(), LogTime: f.LogTime.Time(), Source: &source,
		}.Message(meta)
	}
	g := f.Granted
	return event.CouponGranted{
		GrantID: meta.ID, CouponID: g.CouponID, UserID: g.UserID, Window: g.Window, Sequence: g.Sequence, Limit: g.Limit,
		RequestedAt: f.RequestedAt.Time(), LogTime: f.LogTime.Time(), Source: source,
	}.Message(meta)
}

// ReadFact is the inverse of FactMessage.
func ReadFact(r event.Record) (fcfs.Fact, error) {
	e, err := event.Decode(r)
	if err != nil {
		return fcfs.Fact{}, err
	}
	f := fcfs.Fact{CorrelationID: e.CorrelationID, TraceParent: e.TraceParent}
	switch data := e.Data.(type) {
	case event.CouponDefined:
		d := partition.DefinitionOf(data)
		if problems := d.Validate(); len(problems) > 0 {
			return fcfs.Fact{}, fmt.Errorf("definition of %s: %s %s", d.CouponID, problems[0].Member, problems[0].Detail)
		}
		f.Source, f.Defined = fcfs.Source(*data.Source), &d
		f.RequestedAt, f.LogTime = fcfs.FromTime(data.RequestedAt), fcfs.FromTime(data.LogTime)
	case event.CouponGranted:
		f.Source = fcfs.Source(data.Source)
		f.RequestedAt, f.LogTime = fcfs.FromTime(data.RequestedAt), fcfs.FromTime(data.LogTime)
		f.Granted = &fcfs.GrantFact{
			CouponID: data.CouponID, UserID: data.UserID, Window: data.Window, Sequence: data.Sequence, Limit: data.Limit,
		}
	default:
		return fcfs.Fact{}, fmt.Errorf("%s is no fact", e.Type)
	}
	return f, nil
}
