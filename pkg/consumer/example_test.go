package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/consumer/consumertest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// The common case: one by one, in a group of one's own. After a crash a mail may
// be written again that was written in the last second.
func ExampleRun() {
	client, err := broker.New(broker.Config{Brokers: []string{"localhost:9092"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err = consumer.Run(ctx, consumer.Config{Client: client, GroupID: client.Config().Group("mailer")}, consumer.Each{
		Granted: func(ctx context.Context, g event.CouponGranted, _ event.Meta) error {
			return mail(ctx, g.UserID, "You have number %d of %d", g.Sequence, g.Limit)
		},
	})
	log.Print("stopped: ", err)
}

func mail(_ context.Context, userID, format string, args ...any) error {
	log.Printf("to "+userID+": "+format, args...)
	return nil
}

// A program that must not stand still for one record, and waits while its mail
// server is away.
func ExampleConfig() {
	client, err := broker.New(broker.Config{Brokers: []string{"localhost:9092"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	letters, err := producer.New(producer.Config{Client: client, Topic: "mailer.dead-letters"})
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		soon, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = letters.Close(soon) // of those under way it waits no longer, where Kafka is away
	}()
	cfg := consumer.Config{
		Client:  client,
		GroupID: client.Config().Group("mailer"),
		// After eight attempts, in about a minute, others need not wait any longer.
		Retry:       consumer.Retry{Attempts: 8, Min: 500 * time.Millisecond, Max: 30 * time.Second, Then: consumer.DeadLetter},
		DeadLetters: letters,
		// Asked after a failure: was it the mail, or is it the server?
		Healthy: func(ctx context.Context) error {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", "mail.example:25")
			if err == nil {
				err = conn.Close()
			}
			return err
		},
		Observe: func(s consumer.Stats) {
			log.Printf("partition %d: %d behind, %v old, paused %v, %d dead letters", s.Partition, s.Lag, s.Age, s.Paused, s.DeadLetters)
		},
	}
	err = consumer.Run(context.Background(), cfg, consumer.Each{
		// A new group does not mail those who got their coupon last year.
		Start: consumer.FromGroupOr(consumer.FromEnd()),
		Granted: func(ctx context.Context, g event.CouponGranted, _ event.Meta) error {
			return mail(ctx, g.UserID, "You have number %d of %d", g.Sequence, g.Limit)
		},
	})
	log.Print("stopped: ", err)
}

// What a handler does with a journal that has duplicates, without a broker.
func ExampleEach() {
	journal := &consumertest.Log{}
	journal.Define("tea", 2)
	journal.Grant("tea", "ada")
	journal.Grant("tea", "bob")
	journal.Repeat(2) // a former owner's late batch
	err := consumertest.Drain(context.Background(), consumer.PartitionConfig{}, journal, consumer.Each{
		Granted: func(_ context.Context, g event.CouponGranted, _ event.Meta) error {
			fmt.Println(g.Sequence, g.CouponID, g.UserID)
			return nil
		},
	})
	fmt.Println(err)
	// Output:
	// 1 tea ada
	// 2 tea bob
	// <nil>
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
		var why *event.DecodeError
		if errors.As(err, &why) && why.Reason != event.ReasonUnknownType { // which a later version may have added
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
