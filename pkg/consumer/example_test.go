package consumer_test

import (
	"context"
	"log"
	"os"
	"os/signal"
	"sync"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// The common case: one by one, from a group of one's own. After a crash a mail
// may be written again that was written in the last second.
func ExampleRun() {
	client, err := broker.New(broker.Config{Brokers: []string{"localhost:9092"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err = consumer.Run(ctx, consumer.Config{Client: client, GroupID: "mailer"}, consumer.Each{
		Granted: func(ctx context.Context, g event.CouponGranted, _ event.Meta) error {
			log.Printf("mail to the owner of %s", g.GrantID)
			return nil
		},
	})
	log.Print("stopped: ", err)
}

// counter keeps all that it knows in memory, so it reads everything, in every
// process, from the beginning.
type counter struct {
	mu      sync.Mutex
	granted map[int32]map[string]int64 // by partition and coupon
}

func (c *counter) Assigned(_ context.Context, partition int32) (consumer.Start, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.granted[partition] = map[string]int64{}
	return consumer.FromBeginning(), nil
}

func (c *counter) Handle(_ context.Context, b consumer.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range b.Records {
		e, err := event.Decode(r)
		if err != nil {
			return &consumer.RecordError{Offset: r.Offset, Err: err}
		}
		if g, ok := e.Data.(event.CouponGranted); ok {
			c.granted[b.Partition][g.CouponID]++
		}
	}
	return nil
}

func (c *counter) Revoked(int32) {}

// By batch, and without a group: this process reads all partitions.
func ExampleRun_byBatch() {
	client, err := broker.New(broker.Config{Brokers: []string{"localhost:9092"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err = consumer.Run(ctx, consumer.Config{Client: client}, &counter{granted: map[int32]map[string]int64{}})
	log.Print("stopped: ", err)
}

// A Fetcher alone reads one partition, for tools that own it by other means.
func ExampleFetcher() {
	client, err := broker.New(broker.Config{Brokers: []string{"localhost:9092"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fetcher := consumer.NewFetcher(client, event.TopicGrants, 7, consumer.FetchConfig{})
	defer fetcher.Close()
	_, err = fetcher.ReadToEnd(context.Background(), 0, func(records []event.Record) error {
		for _, r := range records {
			log.Println(r.Offset, r.Time, string(r.Value))
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
}
