package follow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

// fact is a journal record of partition 0 that a request led to.
func fact(source int64) event.Message {
	return event.Message{Value: fmt.Append(nil, source), Headers: []event.Header{
		{Key: "ce_id", Value: fmt.Appendf(nil, "%08x-%04x-8000-8000-000000000000", source>>16, source&0xffff)},
		{Key: "ce_source", Value: []byte(event.JournalSource("coupon.requests", 0))},
	}}
}

// world is a journal of one partition, and what is said about it.
type world struct {
	Topic
	servers *coupontest.Servers
	write   func(sources ...int64)
	said    strings.Builder
}

func newWorld(t *testing.T, from From) *world {
	t.Helper()
	w := &world{servers: coupontest.Start(t, coupontest.Kafka)}
	w.servers.CreateTopics(t, 1)
	client := w.servers.Kafka(t)
	w.Topic = Topic{Client: client, Name: client.Config().Topic(event.TopicGrants), Journal: true, From: from}
	w.Say = func(format string, args ...any) { fmt.Fprintf(&w.said, format+"\n", args...) }
	made, err := producer.New(producer.Config{Client: client, Topic: w.Name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { made.Close(context.Background()) })
	w.write = func(sources ...int64) {
		t.Helper()
		for _, s := range sources {
			if _, err := made.PublishTo(t.Context(), 0, fact(s)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return w
}

// begun is the partition before anything is read.
func (w *world) begun(t *testing.T) *part {
	t.Helper()
	p, err := w.begin(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// take reads until so many records were shown.
func take(t *testing.T, p *part, records int) (values []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	live, ended := make(chan []event.Record), make(chan error, 1)
	go func() { ended <- p.run(ctx, live) }()
	history := p.history
	for len(values) < records {
		var more []event.Record
		open := true
		select {
		case more, open = <-history:
		case more = <-live:
		}
		if !open {
			history = nil
		}
		for _, r := range more {
			values = append(values, string(r.Value))
		}
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	return values
}

// Who begins at the end knows what stands before it: a former owner's late batch is no news.
func TestTopic_DuplicatesOfBefore(t *testing.T) {
	w := newWorld(t, From{})
	w.write(1, 2, 3)
	p := w.begun(t)
	w.write(2, 3, 4)
	if got := take(t, p, 1); fmt.Sprint(got) != "[4]" {
		t.Errorf("shown are %v", got)
	}
}

// What retention takes while it is read is said, and the rest is shown.
func TestTopic_LogIsCutOff(t *testing.T) {
	w := newWorld(t, From{Beginning: true})
	w.write(1, 2, 3, 4)
	p := w.begun(t)
	w.servers.Truncate(t, w.Name, 0, 2)
	if got := take(t, p, 2); fmt.Sprint(got) != "[3 4]" || w.said.String() != "partition 0: the log begins at offset 2 by now, 2 records are gone\n" {
		t.Errorf("shown are %v; said is %s", got, w.said.String())
	}
}

func TestWriter_Colours(t *testing.T) {
	granted, err := event.CouponGranted{
		GrantID: "00000000-0001-8000-8000-000000000000", CouponID: "tea", UserID: "ada", Sequence: 1, Limit: 1, Source: event.Source{Offset: 1},
	}.Message(event.Meta{Source: event.JournalSource("coupon.requests", 0)})
	if err != nil {
		t.Fatal(err)
	}
	record := func(m event.Message) event.Record {
		return event.Record{Topic: event.TopicGrants, Key: m.Key, Value: m.Value, Headers: m.Headers}
	}
	for name, c := range map[string]struct {
		record event.Record
		want   string
	}{
		"known":      {record(granted), green + "granted  " + plain + "  tea"},
		"unreadable": {record(event.Message{Value: []byte("x")}), red + "not_cloudevent" + plain},
	} {
		var out strings.Builder
		if err := (&Writer{Out: &out, Colour: true}).Write(c.record); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %q, %v", name, out.String(), err)
		}
		out.Reset()
		if err := (&Writer{Out: &out}).Write(c.record); err != nil || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s, without colours: %q, %v", name, out.String(), err)
		}
	}
}
