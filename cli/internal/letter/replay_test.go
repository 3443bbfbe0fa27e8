package letter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

const (
	requestsTopic = "it-7.coupon.requests"
	journalTopic  = "it-7.coupon.grants"
	partitions    = 12
)

func claim(t *testing.T, user string) event.Message {
	t.Helper()
	m, err := event.ClaimRequested{CouponID: "tea", UserID: user}.Message(event.Meta{ID: "1", Source: "/test", CorrelationID: "c-1"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func definition(t *testing.T) event.Message {
	t.Helper()
	m, err := event.CouponDefined{CouponID: "tea", Limit: 3, Window: event.WindowNone, TimeZone: "UTC"}.Message(event.Meta{Source: "/test"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// refused is the record that a message became somewhere.
func refused(topic string, offset int64, m event.Message) event.Record {
	return event.Record{Topic: topic, Partition: 1, Offset: offset, LastOffset: offset, Key: m.Key, Value: m.Value, Headers: m.Headers}
}

// dead is the dead letter of a record, as it is read back.
func dead(r event.Record, reason event.Reason) event.Record {
	m := event.DeadLetter(r, reason, "so it was")
	return event.Record{Topic: "it-7.coupon.dead-letters", Key: m.Key, Value: m.Value, Headers: m.Headers}
}

func TestReplay_Request(t *testing.T) {
	good, defined := claim(t, "ada"), definition(t)
	later := defined
	later.Value = bytes.Replace(defined.Value, []byte(`"rules":1`), []byte(`"rules":2`), 1)
	long := event.Message{Key: good.Key, Value: bytes.Repeat([]byte("x"), 600_000), Headers: good.Headers}
	wide := event.Message{Key: bytes.Repeat([]byte("x"), 70_000), Value: good.Value, Headers: good.Headers}
	heavy := event.Message{Key: good.Key, Value: good.Value, Headers: append([]event.Header{{Key: "x", Value: long.Value}}, good.Headers...)}
	batch := event.Record{Topic: requestsTopic, Partition: 1, Offset: 40, LastOffset: 49, Value: []byte("raw")}
	for _, c := range []struct {
		name   string
		record event.Record
		reason event.Reason
		force  bool
		what   string // it is sent
		say    string // it is not
	}{
		{name: "a claim of another partition", record: refused(requestsTopic, 7, good), reason: event.ReasonWrongPartition, what: "a claim for coupon tea"},
		{name: "a definition of another partition", record: refused(requestsTopic, 7, defined), reason: event.ReasonWrongPartition, what: "a definition of coupon tea"},
		{name: "of a type that is known by now", record: refused(requestsTopic, 7, good), reason: event.ReasonUnknownType, what: "a claim for coupon tea"},
		{name: "under rules that are not known yet", record: refused(requestsTopic, 7, later), reason: event.ReasonUnsupportedRules,
			say: "it would be refused again, as unsupported_rules: rules 2; known are 1 to 1; --force sends it all the same"},
		{name: "refused again, and forced", record: refused(requestsTopic, 7, later), reason: event.ReasonUnsupportedRules, force: true, what: "a record that will be refused as unsupported_rules"},
		{name: "for another reason now", record: refused(requestsTopic, 7, event.Message{Key: []byte("tea")}), reason: event.ReasonUnknownType, say: "it would be refused again, as not_cloudevent"},
		{name: "a value that was cut", record: refused(requestsTopic, 7, long), reason: event.ReasonMalformed, force: true,
			say: "its value was cut from 600000 bytes; the whole is only at it-7.coupon.requests/1/7, as long as that topic keeps it"},
		{name: "a key that was cut", record: refused(requestsTopic, 7, wide), reason: event.ReasonInvalid, force: true, say: "its key was cut from 70000 bytes"},
		{name: "headers that were left out", record: refused(requestsTopic, 7, heavy), reason: event.ReasonInvalid, force: true, say: fmt.Sprintf("%d of its headers were left out", len(heavy.Headers))},
		{name: "a batch", record: batch, reason: event.ReasonTooLarge, force: true, say: "it stands for a batch that could not be read"},
		{name: "of the journal", record: refused(journalTopic, 7, good), reason: event.ReasonInvalid, force: true, say: "it is of the journal, which only issuers write"},
		{name: "an alarm of the ledger", record: refused(journalTopic, 7, good), reason: event.ReasonUniqueViolation, force: true, say: "which contradicts what the ledger has stored: an operator has to look at both"},
		{name: "of somebody's own topic", record: refused("it-7.orders", 7, good), reason: event.ReasonInvalid, force: true, say: "it is of topic it-7.orders, and only requests can be asked again"},
		{name: "of another installation", record: refused("coupon.requests", 7, good), reason: event.ReasonWrongPartition, say: "it is of topic coupon.requests, and only requests"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := event.ReadDeadLetter(dead(c.record, c.reason))
			if err != nil {
				t.Fatal(err)
			}
			got, err := Replay{Requests: requestsTopic, Journal: journalTopic, Partitions: partitions, Force: c.force}.Request(l)
			if c.say != "" {
				if err == nil || !strings.Contains(err.Error(), c.say) || !reflect.DeepEqual(got, Request{}) {
					t.Errorf("got %+v, %v; want %s", got, err, c.say)
				}
				return
			}
			want := Request{event.Partition("tea", partitions), event.Message{Key: c.record.Key, Value: c.record.Value, Headers: c.record.Headers}, c.what}
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
			}
		})
	}
}

// door is a requests topic that fails as it is told.
type door struct {
	fail error
	sent []event.Message
}

func (d *door) PublishTo(_ context.Context, _ int32, messages ...event.Message) ([]producer.Ack, error) {
	if len(d.sent) == 1 && d.fail != nil {
		err := d.fail
		if errors.Is(err, producer.ErrTooLarge) {
			d.fail = nil // only that one
		}
		return nil, err
	}
	d.sent = append(d.sent, messages...)
	return []producer.Ack{{Offset: int64(len(d.sent))}}, nil
}

// Whatever happens between the first record and the last, it is said of each whether it was sent.
func TestReplay_Run(t *testing.T) {
	box := newBox(t)
	for _, user := range []string{"ada", "bob", "cyd"} {
		box.write(t, event.DeadLetter(refused(requestsTopic, int64(user[0]), claim(t, user)), event.ReasonWrongPartition, ""))
	}
	entries, err := box.List(t.Context(), Filter{})
	if err != nil || len(entries) != 3 {
		t.Fatalf("got %v, %v", entries, err)
	}
	for _, c := range []struct {
		name string
		fail error
		dry  bool
		want Tally
		say  string
	}{
		{name: "all", want: Tally{Sent: 3}, say: "dead letter 2 (it-7.coupon.requests/1/99, wrong_partition): sent to it-7.coupon.requests/2/3: a claim for coupon tea"},
		{name: "a dry run", dry: true, want: Tally{Sent: 3}, say: "dead letter 2 (it-7.coupon.requests/1/99, wrong_partition): would be sent to it-7.coupon.requests/2: a claim for coupon tea"},
		{name: "no broker", fail: producer.ErrUnavailable, want: Tally{Sent: 1, Refused: 1, Left: 1}, say: "dead letter 1 (it-7.coupon.requests/1/98, wrong_partition): not sent: not published"},
		{name: "no answer", fail: producer.ErrUnknownOutcome, want: Tally{Sent: 1, Unknown: 1, Left: 1}, say: "dead letter 1 (it-7.coupon.requests/1/98, wrong_partition): it is not known whether it was sent"},
		{name: "too large", fail: producer.ErrTooLarge, want: Tally{Sent: 2, Refused: 1}, say: "dead letter 1 (it-7.coupon.requests/1/98, wrong_partition): not sent: record too large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			d := &door{fail: c.fail}
			p := Replay{Requests: requestsTopic, Journal: journalTopic, Partitions: partitions, Producer: d, DryRun: c.dry, Out: &out}
			got, err := p.Run(t.Context(), box.Box, entries)
			if got != c.want || (err != nil) != (c.want.Left > 0) || got.All() != (c.want.Sent == 3) || !strings.Contains(out.String(), c.say) {
				t.Errorf("got %+v, %v, and said\n%swant %+v, %s", got, err, out.String(), c.want, c.say)
			}
			if lines := strings.Count(out.String(), "\n"); lines != 3-c.want.Left {
				t.Errorf("said %d lines", lines)
			}
			if c.dry && len(d.sent) > 0 {
				t.Error("a dry run sent something")
			}
		})
	}
}

// own is a dead letters' topic of a test.
type own struct {
	Box
	producer *producer.Producer
}

func newBox(t *testing.T) own {
	t.Helper()
	servers := coupontest.Start(t, coupontest.Kafka)
	servers.CreateTopics(t, 1)
	client := servers.Kafka(t)
	box := own{Box: Box{Client: client, Topic: client.Config().Topic(event.TopicDeadLetters)}}
	var err error
	if box.producer, err = producer.New(producer.Config{Client: client, Topic: box.Topic}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.producer.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return box
}

func (o own) write(t *testing.T, m event.Message) {
	t.Helper()
	if _, err := o.producer.PublishTo(t.Context(), 0, m); err != nil {
		t.Fatal(err)
	}
}
