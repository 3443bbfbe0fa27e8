package downstream

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

const partitions = 4

// sale is Firstcome at work, and the people who ask it: all claims are granted.
type sale struct {
	*coupontest.Running
	client   *broker.Client
	requests *producer.Producer
	coupons  []string
	asked    atomic.Int64
}

// newSale starts Firstcome and defines some coupons, enough for everybody.
func newSale(t *testing.T, coupons int) *sale {
	t.Helper()
	servers := coupontest.Start(t)
	servers.CreateTopics(t, partitions)
	s := &sale{Running: servers.Pipeline(t), client: servers.Kafka(t)}
	requests, err := producer.New(producer.Config{Client: s.client, Topic: s.client.Config().Topic(event.TopicRequests)})
	if err != nil {
		t.Fatal(err)
	}
	s.requests = requests
	t.Cleanup(func() { _ = requests.Close(context.Background()) })
	for n := range coupons {
		id := fmt.Sprint("coupon-", n)
		definition := event.CouponDefined{CouponID: id, Limit: event.MaxLimit, Window: event.WindowNone, TimeZone: "UTC"}
		s.publish(t, definition)
		s.coupons = append(s.coupons, id)
	}
	return s
}

// env is what a program needs to find the journal.
func (s *sale) env(more ...string) []string {
	return append([]string{"KAFKA_BROKERS=" + strings.Join(s.Brokers, ","), "KAFKA_TOPIC_PREFIX=" + s.TopicPrefix}, more...)
}

// publish puts one request into the log.
func (s *sale) publish(t testing.TB, request interface {
	Message(event.Meta) (event.Message, error)
}) {
	t.Helper()
	m, err := request.Message(event.Meta{Source: "/test"})
	if err == nil {
		_, err = s.requests.Publish(t.Context(), m)
	}
	if err != nil {
		t.Error(err)
	}
}

// ask makes one person ask for a coupon.
func (s *sale) ask(t testing.TB, coupon, user string) {
	t.Helper()
	s.publish(t, event.ClaimRequested{CouponID: coupon, UserID: user})
	s.asked.Add(1)
}

// load makes people ask, one after the other at each of some doors, until stop is called.
func (s *sale) load(t testing.TB, doors int) (stop func()) {
	var over atomic.Bool
	var all sync.WaitGroup
	for door := range doors {
		all.Go(func() {
			for n := 0; !over.Load() && !t.Failed(); n++ {
				s.ask(t, s.coupons[n%len(s.coupons)], fmt.Sprintf("user-%d-%d", door, n))
			}
		})
	}
	stop = func() { over.Store(true); all.Wait() }
	t.Cleanup(stop)
	return stop
}

// journal is what was granted, in the order of each partition, once all who asked have got theirs.
func (s *sale) journal(t testing.TB) (grants [][]event.CouponGranted) {
	t.Helper()
	grants = make([][]event.CouponGranted, partitions)
	next, highest := make([]int64, partitions), make([]int64, partitions)
	fetchers := make([]*consumer.Fetcher, partitions)
	for p := range fetchers {
		highest[p] = consumer.NoSource
		fetchers[p] = consumer.NewFetcher(s.client, s.client.Config().Topic(event.TopicGrants), int32(p), consumer.FetchConfig{})
		defer fetchers[p].Close()
	}
	sum := 0
	all := func() bool {
		for p, fetcher := range fetchers {
			var err error
			next[p], err = fetcher.ReadToEnd(t.Context(), next[p], func(records []event.Record) error {
				records, highest[p] = consumer.Unseen(records, highest[p])
				for _, r := range records {
					e, err := event.Decode(r)
					if err != nil {
						return err
					}
					if g, ok := e.Data.(event.CouponGranted); ok {
						grants[p] = append(grants[p], g)
						sum++
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return sum >= int(s.asked.Load())
	}
	eventually(t, all, func() string { return fmt.Sprintf("%d asked, %d were granted", s.asked.Load(), sum) })
	return grants
}

// topic makes the topic of a program's dead letters.
func (s *sale) topic(t testing.TB, name string) {
	t.Helper()
	err := s.client.CreateTopics(t.Context(), []broker.TopicSpec{{Name: s.client.Config().Topic(name), Partitions: 1, Replication: 1}})
	if err != nil {
		t.Fatal(err)
	}
}

// wantLetters holds that a topic has the dead letters of these users, in any order, and of nobody else. A crash may repeat
// them, as all else.
func (s *sale) wantLetters(t testing.TB, topic string, users ...string) {
	t.Helper()
	fetcher := consumer.NewFetcher(s.client, s.client.Config().Topic(topic), 0, consumer.FetchConfig{})
	defer fetcher.Close()
	var next int64
	var got []string
	all := func() bool {
		var err error
		next, err = fetcher.ReadToEnd(t.Context(), next, func(records []event.Record) error {
			for _, r := range records {
				letter, err := event.ReadDeadLetter(r)
				if err != nil {
					return err
				}
				e, err := event.Decode(letter.Record)
				g, ok := e.Data.(event.CouponGranted)
				if err != nil || !ok || letter.Reason != event.ReasonHandlerFailed || strings.Contains(letter.Detail, g.UserID) {
					t.Errorf("dead letter %+v: %v", letter, err)
				}
				if !slices.Contains(got, g.UserID) {
					got = append(got, g.UserID)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return len(got) >= len(users)
	}
	eventually(t, all, func() string { return fmt.Sprintf("dead letters of %q, want %q", got, users) })
	slices.Sort(got)
	slices.Sort(users)
	if !slices.Equal(got, users) {
		t.Errorf("dead letters of %q, want %q", got, users)
	}
}
