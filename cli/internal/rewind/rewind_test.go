package rewind

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

// Wherever a group begins again, it is handed what it was handed from there on, and no duplicate.
func TestGroup_Plan(t *testing.T) {
	servers := coupontest.Start(t, coupontest.Kafka)
	servers.CreateTopics(t, 1)
	client := servers.Kafka(t)
	g := Group{Client: client, Name: client.Config().Group("g"), Topic: client.Config().Topic(event.TopicGrants)}
	random := rand.New(rand.NewPCG(1, 2))
	var messages []event.Message
	for highest := int64(0); len(messages) < 60; {
		if source := random.Int64N(highest + 3); random.IntN(4) > 0 {
			highest++
			messages = append(messages, fact(highest))
		} else {
			messages = append(messages, fact(min(source, highest))) // late
		}
	}
	to, err := producer.New(producer.Config{Client: client, Topic: g.Topic})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.PublishTo(t.Context(), 0, messages...); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := read(t, g)
	whole, _ := consumer.Unseen(slices.Clone(all), consumer.NoSource)
	end := int64(len(all))
	err = again(t.Context(), func() error {
		return client.Commit(t.Context(), broker.Commit{Group: g.Name, Generation: -1, Topic: g.Topic, Offset: broker.Offset{Offset: end}})
	})
	if err != nil {
		t.Fatal(err)
	}
	for offset := range end {
		steps, err := g.Plan(t.Context(), To{Offsets: map[int32]int64{0: offset}}, func(int64, int64) {})
		if err != nil {
			t.Fatal(err)
		}
		again, _ := consumer.Unseen(slices.Clone(all[offset:]), steps[0].Highest)
		want := slices.DeleteFunc(slices.Clone(whole), func(r event.Record) bool { return r.Offset < offset })
		if steps[0].Again() != end-offset || offsets(again) != offsets(want) {
			t.Errorf("from %d: %+v, it is handed %s, not %s", offset, steps[0], offsets(again), offsets(want))
		}
	}
}

func fact(source int64) event.Message {
	return event.Message{Headers: []event.Header{
		{Key: "ce_id", Value: fmt.Appendf(nil, "%08x-%04x-8000-8000-000000000000", source>>16, source&0xffff)},
		{Key: "ce_source", Value: []byte(event.JournalSource("coupon.requests", 0))},
	}}
}

func read(t *testing.T, g Group) (all []event.Record) {
	t.Helper()
	f := consumer.NewFetcher(g.Client, g.Topic, 0, consumer.FetchConfig{})
	defer f.Close()
	if _, err := f.ReadToEnd(t.Context(), 0, func(more []event.Record) error { all = append(all, more...); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func offsets(records []event.Record) (text string) {
	for _, r := range records {
		text += fmt.Sprint(r.Offset, " ")
	}
	return text
}
