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
	"github.com/firstcome/firstcome/pkg/consumer/consumertest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

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

func (m *mailbox) records() (records []event.Record) {
	for _, l := range m.letters {
		records = append(records, event.Record{Value: l.Value})
	}
	return records
}

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

// logOf is a partition 3 that holds these records, fetched in small pieces.
func logOf(records string) *consumertest.Log {
	l := &consumertest.Log{Partition: 3, Piece: 2}
	l.Append(journal(records)...)
	return l
}

// drain consumes a log to its end.
func drain(t *testing.T, l *consumertest.Log, h consumer.Handler, change ...func(*consumer.PartitionConfig)) error {
	t.Helper()
	cfg := quietly()
	for _, c := range change {
		c(&cfg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour) // synctest's
	defer cancel()
	return consumertest.Drain(ctx, cfg, l, h)
}

func quietly() consumer.PartitionConfig {
	return consumer.PartitionConfig{Partition: 3, Log: slog.New(slog.DiscardHandler)}
}

func to(box *mailbox) func(*consumer.PartitionConfig) {
	return func(c *consumer.PartitionConfig) {
		if box != nil {
			c.DeadLetters = box
		}
	}
}

// leaves holds what the group has committed.
func leaves(t *testing.T, l *consumertest.Log, want broker.Offset) {
	t.Helper()
	if have, found, err := l.Committed(t.Context()); have != want || !found || err != nil {
		t.Errorf("the group is at %v, not %v", have, want)
	}
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
			"assigned 3,a,b,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, nil},
		{"from the group", consumer.FromGroup(), &broker.Offset{Offset: 1, Metadata: "source=10"}, "abc", nil, nil,
			"assigned 3,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, nil},
		{"from the handler's own place", consumer.From(2, 10), &broker.Offset{Offset: 1}, "abc", nil, nil,
			"assigned 3,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, nil},
		{"from the beginning, whatever the group has", consumer.FromBeginning(), &broker.Offset{Offset: 1, Metadata: "source=10"}, "abc", nil, nil,
			"assigned 3,a,b,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, nil},
		{"from the end", consumer.FromEnd(), &broker.Offset{Offset: 1, Metadata: "source=0"}, "abc", nil, nil,
			"assigned 3,revoked 3", "", broker.Offset{Offset: 3}, nil},
		{"from a time", consumer.FromTime(noon.Add(61 * time.Second)), nil, "abc", nil, nil,
			"assigned 3,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, nil},
		{"from a time that is still to come", consumer.FromTime(noon.Add(time.Hour)), nil, "abc", nil, nil,
			"assigned 3,revoked 3", "", broker.Offset{Offset: 3}, nil},
		{"from the group, or the end", consumer.FromGroupOr(consumer.FromEnd()), &broker.Offset{Offset: 1, Metadata: "source=0"}, "abc", nil, nil,
			"assigned 3,b,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, nil},
		{"from the group, or an own place", consumer.FromGroupOr(consumer.From(1, 0)), nil, "abc", nil, nil,
			"assigned 3,b,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, nil},
		{"from the group, or from the group, or an own place", consumer.FromGroupOr(consumer.FromGroupOr(consumer.From(1, 0))), nil, "abc", nil, nil,
			"assigned 3,b,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, nil},
		{"from the group, or from the group", consumer.FromGroupOr(consumer.FromGroup()), nil, "ab", nil, nil,
			"assigned 3,a,b,revoked 3", "", broker.Offset{Offset: 2, Metadata: "source=10"}, nil},
		{"an error: the same batch again", consumer.FromGroup(), nil, "ab", nil, []error{again},
			"assigned 3,a,b,revoked 3", "", broker.Offset{Offset: 2, Metadata: "source=10"}, nil},
		{"begin again", consumer.FromGroup(), nil, "ab", nil, []error{consumer.ErrReassign},
			"assigned 3,revoked 3,assigned 3,a,b,revoked 3", "", broker.Offset{Offset: 2, Metadata: "source=10"}, nil},
		{"join again", consumer.FromGroup(), nil, "abcd", nil, []error{nil, consumer.ErrRejoin},
			"assigned 3,a,b,revoked 3", "", broker.Offset{Offset: 2, Metadata: "source=10"}, consumer.ErrRejoin},
		{"unreadable, with dead letters", consumer.FromGroup(), nil, "a!c", &mailbox{refuses: 1}, nil,
			"assigned 3,a,c,revoked 3", "!", broker.Offset{Offset: 3, Metadata: "source=20"}, nil},
		{"unreadable, without", consumer.FromGroup(), nil, "a!c", nil, nil,
			"assigned 3,a,!,c,revoked 3", "", broker.Offset{Offset: 3, Metadata: "source=20"}, nil},
		{"rejected", consumer.FromGroup(), nil, "ab", &mailbox{}, []error{&consumer.RejectError{Offset: 0, Reason: event.ReasonInvalid}},
			"assigned 3,b,revoked 3", "a", broker.Offset{Offset: 2, Metadata: "source=10"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // an error waits before it tries again
			h := &clerk{start: c.start, handle: func(consumer.Batch) (err error) {
				if len(c.errs) > 0 {
					err, c.errs = c.errs[0], c.errs[1:]
				}
				return err
			}}
			l := logOf(c.records)
			if c.committed != nil {
				_ = l.Commit(t.Context(), c.committed.Offset, c.committed.Metadata)
			}
			err := drain(t, l, h, to(c.letters))
			if told := strings.Join(h.told, ","); told != c.told || !errors.Is(err, c.err) {
				t.Errorf("told %s, not %s; returned %v", told, c.told, err)
			}
			leaves(t, l, c.leaves)
			var buried string
			if c.letters != nil {
				buried = letters(c.letters.records())
			}
			if buried != c.buried {
				t.Errorf("buried %q, not %q", buried, c.buried)
			}
		})
	}
}

// A group that begins at the end has begun there, whatever happens before its first record.
func TestRunPartition_aGroupBeginsOnce(t *testing.T) {
	l := logOf("ab")
	h := &clerk{start: consumer.FromGroupOr(consumer.FromEnd())}
	l.Refuse(errors.New("the group is away"))
	if err := drain(t, l, h); err == nil || !strings.Contains(err.Error(), "the group is away") {
		t.Fatalf("it goes on without having begun: %v", err)
	}
	l.Refuse(nil)
	ctx, crash := context.WithCancel(t.Context())
	crash()
	_ = consumer.RunPartition(ctx, quietly(), l, h)
	leaves(t, l, broker.Offset{Offset: 2})
	l.Append(journal("abcd")[2:]...)
	h.told = nil
	if err := drain(t, l, h); err != nil || strings.Join(h.told, ",") != "assigned 3,c,d,revoked 3" {
		t.Errorf("returned %v, told %v", err, h.told)
	}
}

func TestRunPartition_withoutAGroup(t *testing.T) {
	for _, start := range []consumer.Start{consumer.From(1, 0), consumer.FromTime(noon.Add(time.Minute))} {
		h, l := &clerk{start: start}, logOf("abc")
		l.NoGroup = true
		if err := drain(t, l, h); err != nil || strings.Join(h.told, ",") != "assigned 3,b,c,revoked 3" {
			t.Errorf("returned %v, told %v", err, h.told)
		}
	}
	for _, start := range []consumer.Start{consumer.FromGroup(), consumer.FromGroupOr(consumer.FromEnd())} {
		h, l := &clerk{start: start}, logOf("abc")
		l.NoGroup = true
		if err := drain(t, l, h); !errors.Is(err, consumer.ErrNoGroup) || strings.Join(h.told, ",") != "assigned 3,revoked 3" {
			t.Errorf("returned %v, told %v", err, h.told)
		}
	}
}

// What is below the log's start, or beyond its end, is never skipped.
func TestRunPartition_OutOfRange(t *testing.T) {
	for _, asked := range []int64{0, 9} {
		h, l := &clerk{start: consumer.From(asked, 4)}, logOf("abc")
		l.Truncate(1)
		var out *consumer.OutOfRangeError
		if err := drain(t, l, h); !errors.As(err, &out) || out.Asked != asked || !slices.Equal(h.told, []string{"assigned 3", "revoked 3"}) {
			t.Errorf("returned %v, told %v", err, h.told)
		}
	}
}

// Offsets without a record are passed over, at the end too.
func TestRunPartition_gaps(t *testing.T) {
	l := logOf("ab")
	l.Gap(3)
	l.Append(journal("xyc")[2:]...)
	l.Gap(2)
	h := &clerk{}
	if err := drain(t, l, h); err != nil || strings.Join(h.told, ",") != "assigned 3,a,b,c,revoked 3" {
		t.Errorf("returned %v, told %v", err, h.told)
	}
	leaves(t, l, broker.Offset{Offset: 8, Metadata: "source=20"})
	l.Gap(1)
	if err := drain(t, l, h); err != nil {
		t.Error(err)
	}
	leaves(t, l, broker.Offset{Offset: 9, Metadata: "source=20"})
}
