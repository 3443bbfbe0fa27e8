package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/consumer/consumertest"
	"github.com/firstcome/firstcome/pkg/event"
)

// mixed has one of everything that a journal can hold.
func mixed(t *testing.T) *consumertest.Log {
	l := &consumertest.Log{Partition: 3}
	l.Define("tea", 2)
	l.Grant("tea", "ada")
	change := func(how func(r *event.Record)) {
		from := &consumertest.Log{Partition: 3}
		from.Grant("tea", "zoe")
		got, err := from.Fetch(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		how(&got.Records[0])
		l.Append(got.Records...)
	}
	header := func(name, value string) func(r *event.Record) {
		return func(r *event.Record) {
			for i, h := range r.Headers {
				if h.Key == name {
					r.Headers[i].Value = []byte(value)
				}
			}
			r.Headers[1].Value = []byte("a later version's")
		}
	}
	change(header("ce_type", "firstcome.coupon.withdrawn"))
	l.Append(event.Record{Value: []byte("hello")})
	change(func(r *event.Record) { r.Value, r.Headers[1].Value = []byte("{"), []byte("x") })
	l.Append(event.Record{Value: []byte("a batch"), Err: &event.DecodeError{Reason: event.ReasonTooLarge, Detail: "it is"}})
	l.Grant("tea", "bob")
	l.Repeat(1)
	return l
}

func writer(told *[]string) consumer.Each {
	say := func(format string, args ...any) error {
		*told = append(*told, fmt.Sprintf(format, args...))
		return nil
	}
	return consumer.Each{
		Granted: func(_ context.Context, g event.CouponGranted, m event.Meta) error {
			return say("%d %s %v", g.Sequence, g.UserID, m.ID == g.GrantID)
		},
		Defined: func(_ context.Context, d event.CouponDefined, _ event.Meta) error { return say("limit %d", d.Limit) },
		Other:   func(_ context.Context, r event.Record) error { return say("other at %d", r.Offset) },
	}
}

func TestEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		box := &mailbox{}
		each := writer(&told)
		if err := drain(t, mixed(t), each, to(box)); err != nil {
			t.Fatal(err)
		}
		if have := strings.Join(told, ", "); have != "limit 2, 1 ada true, other at 2, 2 bob true" {
			t.Errorf("told %s", have)
		}
		var reasons []string
		for _, m := range box.letters {
			letter, err := event.ReadDeadLetter(event.Record{Headers: m.Headers})
			if err != nil {
				t.Fatal(err)
			}
			reasons = append(reasons, fmt.Sprint(letter.Record.Offset, " ", letter.Reason))
		}
		if have := strings.Join(reasons, ", "); have != "5 too_large, 3 not_cloudevent, 4 malformed" {
			t.Errorf("buried %s", have)
		}
	})
}

// Without dead letters what can't be read is the handler's, or stops everything: it is not passed over.
func TestEach_unreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told, not []string
		each := writer(&told)
		var stop *consumer.StopError
		l := mixed(t)
		if err := drain(t, l, each, giveUp(2, consumer.Stop)); !errors.As(err, &stop) || stop.Offset != 3 {
			t.Fatalf("returned %v", err)
		}
		leaves(t, l, broker.Offset{Offset: 3, Metadata: "source=1"})
		each.Unreadable = func(_ context.Context, r event.Record, why *event.DecodeError) error {
			not = append(not, fmt.Sprint(r.Offset, " ", why.Reason))
			return nil
		}
		if err := drain(t, l, each, giveUp(2, consumer.Stop)); err != nil {
			t.Fatal(err)
		}
		if have := strings.Join(told, ", "); have != "limit 2, 1 ada true, other at 2, 2 bob true" {
			t.Errorf("told %s", have)
		}
		if have := strings.Join(not, ", "); have != "3 not_cloudevent, 4 malformed, 5 too_large" {
			t.Errorf("could not read %s", have)
		}
	})
}

// A function that is not there passes over its records; one that fails gets the same record again, and no one before it.
func TestEach_failsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &consumertest.Log{Partition: 3}
		l.Define("tea", 9)
		for _, user := range []string{"ada", "bob", "eve"} {
			l.Grant("tea", user)
		}
		var told []string
		failures := 3
		err := drain(t, l, consumer.Each{Granted: func(_ context.Context, g event.CouponGranted, _ event.Meta) error {
			told = append(told, g.UserID)
			if g.UserID == "bob" && failures > 0 {
				failures--
				return errPoison
			}
			return nil
		}})
		if have := strings.Join(told, ","); err != nil || have != "ada,bob,bob,bob,bob,eve" {
			t.Errorf("returned %v, told %s", err, have)
		}
	})
}

// Between two records a partition is let go, with what is done committed.
func TestEach_letsGo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l := &consumertest.Log{Partition: 3}
	for _, user := range []string{"ada", "bob", "eve"} {
		l.Grant("tea", user)
	}
	each := consumer.Each{Granted: func(_ context.Context, g event.CouponGranted, _ event.Meta) error {
		if g.UserID == "bob" {
			cancel()
		}
		return nil
	}}
	if err := consumer.RunPartition(ctx, quietly(), l, each); !errors.Is(err, context.Canceled) {
		t.Errorf("returned %v", err)
	}
	leaves(t, l, broker.Offset{Offset: 2, Metadata: "source=1"})
}

// However many records a batch has, and however slow they are: what a crash leaves uncommitted is little.
func TestEach_slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &consumertest.Log{Partition: 3}
		var behind, done int64
		began := time.Now()
		for n := range 1000 {
			l.Grant("tea", fmt.Sprint("user", n))
		}
		err := drain(t, l, consumer.Each{Granted: func(context.Context, event.CouponGranted, event.Meta) error {
			committed, _, _ := l.Committed(t.Context())
			behind = max(behind, done-committed.Offset)
			done++
			<-time.After(100 * time.Millisecond)
			return nil
		}})
		if took := time.Since(began); err != nil || done != 1000 || behind > 20 || took > 101*time.Second {
			t.Errorf("returned %v after %v; %d done, and up to %d of them not committed", err, took, done, behind)
		}
		leaves(t, l, broker.Offset{Offset: 1000, Metadata: "source=999"})
	})
}
