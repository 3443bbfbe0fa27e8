package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// memory is a Log in memory. At its end it ends the test's context, as nothing
// more will come.
type memory struct {
	records   []event.Record
	start     int64
	committed *broker.Offset
	groupless bool
	refused   error // of the next commit
	ended     context.CancelFunc
}

func (m *memory) Fetch(ctx context.Context, offset int64) (consumer.Fetched, error) {
	got := consumer.Fetched{Start: m.start, End: int64(len(m.records)), Next: offset}
	switch {
	case ctx.Err() != nil:
		return got, ctx.Err()
	case offset < m.start || offset > got.End:
		return got, &consumer.OutOfRangeError{Asked: offset, Start: m.start, End: got.End}
	case offset == got.End:
		m.ended()
		return got, nil
	}
	got.Next = min(offset+2, got.End) // small pieces
	got.Records = slices.Clone(m.records[offset:got.Next])
	return got, nil
}

func (m *memory) Bounds(context.Context) (start, end int64, err error) {
	return m.start, int64(len(m.records)), nil
}

func (m *memory) OffsetAt(_ context.Context, t time.Time) (int64, error) {
	for _, r := range m.records {
		if !r.Time.Before(t) {
			return r.Offset, nil
		}
	}
	return int64(len(m.records)), nil
}

func (m *memory) Committed(context.Context) (broker.Offset, bool, error) {
	if m.groupless {
		return broker.Offset{}, false, consumer.ErrNoGroup
	}
	if m.committed == nil {
		return broker.Offset{}, false, nil
	}
	return *m.committed, true, nil
}

func (m *memory) Commit(_ context.Context, offset int64, metadata string) error {
	if err := m.refused; err != nil {
		m.refused = nil
		return err
	}
	m.committed = &broker.Offset{Offset: offset, Metadata: metadata}
	return nil
}

// clerk writes down what it is told, and fails as handle says.
type clerk struct {
	start  consumer.Start
	handle func(consumer.Batch) error
	told   []string
}

func (c *clerk) Assigned(_ context.Context, partition int32) (consumer.Start, error) {
	c.told = append(c.told, fmt.Sprint("assigned ", partition))
	return c.start, nil
}

func (c *clerk) Handle(_ context.Context, b consumer.Batch) error {
	if c.handle != nil {
		if err := c.handle(b); err != nil {
			return err
		}
	}
	for _, r := range b.Records {
		c.told = append(c.told, string(r.Value))
	}
	return nil
}

func (c *clerk) Revoked(partition int32) { c.told = append(c.told, fmt.Sprint("revoked ", partition)) }

// mailbox takes dead letters, after it has refused some.
type mailbox struct {
	refuses int
	letters []event.Message
}

func (m *mailbox) PublishTo(_ context.Context, partition int32, messages ...event.Message) ([]producer.Ack, error) {
	if m.refuses--; m.refuses >= 0 || partition != 0 {
		return nil, errors.New("refused")
	}
	m.letters = append(m.letters, messages...)
	return make([]producer.Ack, len(messages)), nil
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// journal is a partition 3 of the journal: a letter stands for a record, "!"
// for one that could not be read.
func journal(letters string) (records []event.Record) {
	for i, letter := range letters {
		id := fmt.Sprintf("00000000-%04x-8003-8000-000000000000", i*10)
		r := event.Record{Partition: 3, Offset: int64(i), LastOffset: int64(i), Time: noon.Add(time.Duration(i) * time.Minute), Value: []byte(string(letter)), Headers: []event.Header{
			{Key: "ce_id", Value: []byte(id)}, {Key: "ce_source", Value: []byte(event.JournalSource(event.TopicRequests, 3))},
		}}
		if letter == '!' {
			r.Err = &event.DecodeError{Reason: event.ReasonMalformed, Detail: "smudged"}
		}
		records = append(records, r)
	}
	return records
}

// run consumes a log to its end.
func run(t *testing.T, m *memory, h consumer.Handler, letters consumer.DeadLetters) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m.ended = cancel
	cfg := consumer.PartitionConfig{Partition: 3, Log: slog.New(slog.DiscardHandler), DeadLetters: letters}
	return consumer.RunPartition(ctx, cfg, m, h)
}

func TestRunPartition(t *testing.T) {
	again := errors.New("again")
	for _, c := range []struct {
		name      string
		start     consumer.Start
		committed *broker.Offset
		records   string
		letters   *mailbox
		errs      []error // of Handle, one after another
		told      string
		buried    string
		leaves    broker.Offset // of the group
		err       error
	}{
		{"from the log's start", consumer.FromGroup(), nil, "abc", nil, nil,
			"assigned 3,a,b,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, context.Canceled},
		{"from the group", consumer.FromGroup(), &broker.Offset{Offset: 1, Metadata: "source=10"}, "abc", nil, nil,
			"assigned 3,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, context.Canceled},
		{"from the handler's own place", consumer.From(2, 10), &broker.Offset{Offset: 1}, "abc", nil, nil,
			"assigned 3,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, context.Canceled},
		{"from the beginning, whatever the group has", consumer.FromBeginning(), &broker.Offset{Offset: 1, Metadata: "source=10"}, "abc", nil, nil,
			"assigned 3,a,b,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, context.Canceled},
		{"from the end", consumer.FromEnd(), &broker.Offset{Offset: 1, Metadata: "source=0"}, "abc", nil, nil,
			"assigned 3,revoked 3", "", broker.Offset{Offset: 3}, context.Canceled},
		{"from a time", consumer.FromTime(noon.Add(61 * time.Second)), nil, "abc", nil, nil,
			"assigned 3,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, context.Canceled},
		{"from a time that is still to come", consumer.FromTime(noon.Add(time.Hour)), nil, "abc", nil, nil,
			"assigned 3,revoked 3", "", broker.Offset{Offset: 3}, context.Canceled},
		{"from the group, or the end", consumer.FromGroupOr(consumer.FromEnd()), &broker.Offset{Offset: 1, Metadata: "source=0"}, "abc", nil, nil,
			"assigned 3,b,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, context.Canceled},
		{"from the group, or an own place", consumer.FromGroupOr(consumer.From(1, 0)), nil, "abc", nil, nil,
			"assigned 3,b,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, context.Canceled},
		{"from the group, or from the group", consumer.FromGroupOr(consumer.FromGroup()), nil, "ab", nil, nil,
			"assigned 3,a,b,revoked 3", "", broker.Offset{Offset: 2, Metadata: "source=10"}, context.Canceled},
		{"an error: the same batch again", consumer.FromGroup(), nil, "ab", nil, []error{again},
			"assigned 3,a,b,revoked 3", "", broker.Offset{Offset: 2, Metadata: "source=10"}, context.Canceled},
		{"begin again", consumer.FromGroup(), nil, "ab", nil, []error{consumer.ErrReassign},
			"assigned 3,revoked 3,assigned 3,a,b,revoked 3", "", broker.Offset{Offset: 2, Metadata: "source=10"}, context.Canceled},
		{"join again", consumer.FromGroup(), nil, "abcd", nil, []error{nil, consumer.ErrRejoin},
			"assigned 3,a,b,revoked 3", "", broker.Offset{Offset: 2, Metadata: "source=10"}, consumer.ErrRejoin},
		{"unreadable, with dead letters", consumer.FromGroup(), nil, "a!c", &mailbox{refuses: 1}, nil,
			"assigned 3,a,c,revoked 3", "!", broker.Offset{Offset: 3, Metadata: "source=20"}, context.Canceled},
		{"unreadable, without", consumer.FromGroup(), nil, "a!c", nil, nil,
			"assigned 3,a,!,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, context.Canceled},
		{"rejected", consumer.FromGroup(), nil, "ab", &mailbox{}, []error{&consumer.RejectError{Offset: 0, Reason: event.ReasonInvalid}},
			"assigned 3,b,revoked 3", "a", broker.Offset{Offset: 2, Metadata: "source=10"}, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // an error waits before it tries again
			h := &clerk{start: c.start, handle: func(consumer.Batch) (err error) {
				if len(c.errs) > 0 {
					err, c.errs = c.errs[0], c.errs[1:]
				}
				return err
			}}
			m := &memory{records: journal(c.records), committed: c.committed}
			var letters consumer.DeadLetters
			if c.letters != nil {
				letters = c.letters
			}
			err := run(t, m, h, letters)
			if told := strings.Join(h.told, ","); told != c.told || !errors.Is(err, c.err) {
				t.Errorf("told %s, not %s; returned %v", told, c.told, err)
			}
			if m.committed == nil || *m.committed != c.leaves {
				t.Errorf("the group is at %v, not %v", m.committed, c.leaves)
			}
			var buried string
			if c.letters != nil {
				for _, l := range c.letters.letters {
					buried += string(l.Value)
				}
			}
			if buried != c.buried {
				t.Errorf("buried %q, not %q", buried, c.buried)
			}
		})
	}
}

// A group that begins at the end has begun there, whatever happens before its first record.
func TestRunPartition_aGroupBeginsOnce(t *testing.T) {
	m := &memory{records: journal("ab"), refused: errors.New("the group is away")}
	h := &clerk{start: consumer.FromGroupOr(consumer.FromEnd())}
	if err := run(t, m, h, nil); err == nil || !strings.Contains(err.Error(), "the group is away") {
		t.Fatalf("it goes on without having begun: %v", err)
	}
	if err := run(t, m, h, nil); !errors.Is(err, context.Canceled) || *m.committed != (broker.Offset{Offset: 2}) {
		t.Fatalf("returned %v, the group is at %v", err, m.committed)
	}
	m.records = journal("abcd")
	h.told = nil
	if err := run(t, m, h, nil); !errors.Is(err, context.Canceled) || !slices.Equal(h.told, []string{"assigned 3", "c", "d", "revoked 3"}) {
		t.Errorf("returned %v, told %v", err, h.told)
	}
}

func TestRunPartition_withoutAGroup(t *testing.T) {
	for _, start := range []consumer.Start{consumer.From(1, 0), consumer.FromTime(noon.Add(time.Minute))} {
		h := &clerk{start: start}
		if err := run(t, &memory{records: journal("abc"), groupless: true}, h, nil); !errors.Is(err, context.Canceled) || strings.Join(h.told, ",") != "assigned 3,b,c,revoked 3" {
			t.Errorf("returned %v, told %v", err, h.told)
		}
	}
	for _, start := range []consumer.Start{consumer.FromGroup(), consumer.FromGroupOr(consumer.FromEnd())} {
		h := &clerk{start: start}
		if err := run(t, &memory{records: journal("abc"), groupless: true}, h, nil); !errors.Is(err, consumer.ErrNoGroup) || strings.Join(h.told, ",") != "assigned 3,revoked 3" {
			t.Errorf("returned %v, told %v", err, h.told)
		}
	}
}

func TestRunPartition_OutOfRange(t *testing.T) {
	h := &clerk{start: consumer.From(9, 4)}
	var out *consumer.OutOfRangeError
	err := run(t, &memory{records: journal("abc")}, h, nil)
	if !errors.As(err, &out) || out.Asked != 9 || !slices.Equal(h.told, []string{"assigned 3", "revoked 3"}) {
		t.Errorf("returned %v, told %v", err, h.told)
	}
}
