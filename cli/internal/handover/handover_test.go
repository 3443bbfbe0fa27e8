package handover

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

// Eve asks while the coupon is open to all, and is decided after the last look and before the wanted definition.
func TestRun_SomebodySlipsIn(t *testing.T) {
	t.Parallel()
	servers := coupontest.Start(t, coupontest.Kafka)
	servers.CreateTopics(t, 1)
	client := servers.Kafka(t)
	i := &issuer{t: t, client: client, journal: publisher(t, client, event.TopicGrants), slow: "eve"}
	ctx, end := context.WithCancel(t.Context())
	issuing := make(chan error, 1)
	go func() {
		defer end() // nobody waits for an issuer that is gone
		issuing <- i.run(ctx)
	}()

	requests := publisher(t, client, event.TopicRequests)
	var eve sync.Once
	h := Handover{
		Client: client, People: []string{"ada"}, Wanted: event.CouponDefined{CouponID: "tea", Limit: 5, Window: event.WindowNone, TimeZone: "UTC"},
		Say: t.Logf, Decided: func(done, all int64) {
			if done == all {
				eve.Do(func() {
					i.publish(ctx, requests, event.ClaimRequested{CouponID: "tea", UserID: "eve"}.Message, event.Meta{Source: "/shop"})
				})
			}
		},
	}
	if err := h.Run(ctx); !errors.Is(err, ErrNotClosed) || !strings.Contains(err.Error(), `such as "eve"`) {
		t.Errorf("told %v", err)
	}
	end()
	if err := <-issuing; !errors.Is(err, context.Canceled) {
		t.Errorf("the issuer ended with %v", err)
	}
}

func publisher(t *testing.T, client *broker.Client, topic string) *producer.Producer {
	p, err := producer.New(producer.Config{Client: client, Topic: client.Config().Topic(topic)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(context.WithoutCancel(t.Context())) })
	return p
}

// issuer grants to everybody. The claim of one person it decides when the next definition comes.
type issuer struct {
	t       *testing.T
	client  *broker.Client
	journal *producer.Producer
	slow    string
	late    []event.Record
	granted int64
}

func (i *issuer) run(ctx context.Context) error {
	topic := i.client.Config().Topic(event.TopicRequests)
	requests := consumer.NewFetcher(i.client, topic, 0, consumer.FetchConfig{})
	defer requests.Close()
	for next := int64(0); ; {
		got, err := requests.Fetch(ctx, next)
		if err != nil {
			return err
		}
		for _, r := range got.Records {
			if i.take(ctx, r) {
				err = errors.Join(err, i.commit(ctx, r.Offset+1))
			}
		}
		if next = got.Next; err != nil {
			return err
		}
	}
}

// commit waits for the group's coordinator, which a broker that has just started makes first.
func (i *issuer) commit(ctx context.Context, next int64) (err error) {
	for {
		err = i.client.Commit(ctx, broker.Commit{
			Group: i.client.Config().Group(issuerGroup), Generation: -1, Topic: i.client.Config().Topic(event.TopicRequests), Offset: broker.Offset{Offset: next},
		})
		if !broker.Retriable(err) || ctx.Err() != nil {
			return err
		}
	}
}

// take decides a request, if it is time to.
func (i *issuer) take(ctx context.Context, r event.Record) (decided bool) {
	e, err := event.Decode(r)
	if err != nil {
		i.t.Error(err)
		return false
	}
	source := &event.Source{Partition: r.Partition, Offset: r.Offset}
	requests := i.client.Config().Topic(event.TopicRequests)
	meta := event.Meta{ID: fcfs.GrantID(requests, fcfs.Source(*source)), Source: event.JournalSource(requests, r.Partition), Time: r.Time}
	switch data := e.Data.(type) {
	case event.CouponDefined:
		for _, claim := range i.late {
			i.slow = ""
			i.take(ctx, claim)
		}
		data.Source, data.RequestedAt, data.LogTime = source, r.Time, r.Time
		i.publish(ctx, i.journal, data.Message, meta)
	case event.ClaimRequested:
		if data.UserID == i.slow {
			i.late = append(i.late, r)
			return false
		}
		i.granted++
		i.publish(ctx, i.journal, event.CouponGranted{
			GrantID: meta.ID, CouponID: data.CouponID, UserID: data.UserID, Sequence: i.granted, Limit: 5, RequestedAt: r.Time, LogTime: r.Time, Source: *source,
		}.Message, meta)
	}
	return true
}

func (i *issuer) publish(ctx context.Context, p *producer.Producer, message func(event.Meta) (event.Message, error), meta event.Meta) {
	m, err := message(meta)
	if err == nil {
		_, err = p.Publish(ctx, m)
	}
	if err != nil {
		i.t.Error(err)
	}
}
