package consumertest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/consumer/consumertest"
	"github.com/firstcome/firstcome/pkg/event"
)

// A process that dies between an effect and its commit: what the group has not
// is done again, and how often can be counted.
func ExampleLog_Refuse() {
	journal := &consumertest.Log{}
	journal.Grant("tea", "ada")
	journal.Grant("tea", "bob")
	mails := map[string]int{}
	mailer := consumer.Each{Granted: func(_ context.Context, g event.CouponGranted, _ event.Meta) error {
		mails[g.UserID]++
		return nil
	}}
	drain := func() {
		if err := consumertest.Drain(context.Background(), consumer.PartitionConfig{}, journal, mailer); err != nil {
			fmt.Println(err)
		}
	}
	journal.Refuse(broker.ErrFenced)
	drain()
	journal.Refuse(nil)
	drain()
	drain()
	fmt.Println(mails)
	// Output: map[ada:2 bob:2]
}

// What it writes is what an issuer writes: it decodes, and duplicates are told apart by source.
func TestLog_records(t *testing.T) {
	l := &consumertest.Log{Partition: 7}
	defined := l.Define("tea", 3)
	granted := []event.CouponGranted{l.Grant("tea", "ada"), l.Grant("cup", "ada"), l.Grant("tea", "bob")}
	got, err := l.Fetch(t.Context(), 0)
	if err != nil || len(got.Records) != 4 || got.Next != 4 || got.End != 4 || got.Start != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	var have []string
	for _, r := range got.Records {
		e, err := event.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		switch d := e.Data.(type) {
		case event.CouponDefined:
			have = append(have, fmt.Sprint(d.CouponID, d.Limit, d.Source.Offset))
		case event.CouponGranted:
			have = append(have, fmt.Sprint(d.CouponID, d.UserID, d.Sequence, d.Source.Partition, d.Source.Offset, d == granted[d.Source.Offset-1]))
		}
	}
	if have, want := strings.Join(have, "; "), "tea3 0; teaada1 7 1 true; cupada1 7 2 true; teabob2 7 3 true"; have != want || defined.Limit != 3 {
		t.Errorf("have %s, not %s", have, want)
	}
}

func TestLog_places(t *testing.T) {
	l := &consumertest.Log{Piece: 2}
	for _, user := range []string{"a", "b", "c"} {
		l.Grant("tea", user)
	}
	l.Gap(2)
	l.Repeat(2)
	l.Truncate(1)
	for _, c := range []struct {
		from, next int64
		records    string // their offsets and sources
	}{{1, 3, "1/1 2/2"}, {2, 6, "2/2 5/1"}, {3, 7, "5/1 6/2"}, {4, 7, "5/1 6/2"}, {6, 7, "6/2"}, {7, 7, ""}} {
		got, err := l.Fetch(t.Context(), c.from)
		var have []string
		for _, r := range got.Records {
			source, _ := event.SourceOf(r)
			have = append(have, fmt.Sprintf("%d/%d", r.Offset, source.Offset))
		}
		if have := strings.Join(have, " "); have != c.records || got.Next != c.next || err != nil {
			t.Errorf("from %d: %s, next %d, %v", c.from, have, got.Next, err)
		}
	}
	for _, from := range []int64{0, 8} {
		var out *consumer.OutOfRangeError
		if _, err := l.Fetch(t.Context(), from); !errors.As(err, &out) || out.Start != 1 || out.End != 7 {
			t.Errorf("from %d: %v", from, err)
		}
	}
	at := time.Date(2026, 11, 22, 12, 0, 0, 2e6, time.UTC)
	for t2, want := range map[time.Time]int64{{}: 1, at: 2, at.Add(1): 7} {
		if have, err := l.OffsetAt(t.Context(), t2); have != want || err != nil {
			t.Errorf("at %v: %d, %v", t2, have, err)
		}
	}
}

// Drain returns what ended it, unless that was the end of the log.
func TestDrain(t *testing.T) {
	l := &consumertest.Log{NoGroup: true}
	l.Grant("tea", "ada")
	if err := consumertest.Drain(t.Context(), consumer.PartitionConfig{}, l, consumer.Each{}); !errors.Is(err, consumer.ErrNoGroup) {
		t.Errorf("returned %v", err)
	}
	handled := 0
	each := consumer.Each{Start: consumer.FromBeginning(), Granted: func(context.Context, event.CouponGranted, event.Meta) error { handled++; return nil }}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := consumertest.Drain(ended, consumer.PartitionConfig{}, l, each); !errors.Is(err, context.Canceled) || handled > 0 {
		t.Errorf("returned %v after %d records", err, handled)
	}
	if err := consumertest.Drain(t.Context(), consumer.PartitionConfig{}, l, each); err != nil || handled != 1 {
		t.Errorf("returned %v after %d records", err, handled)
	}
}
