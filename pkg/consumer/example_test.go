package consumer_test

import (
	"context"
	"log"
	"os"
	"os/signal"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// mailer writes to everyone who got a coupon. It keeps no store, so it starts
// from the group: after a crash it may write again what it wrote in the last
// second.
type mailer struct{}

func (mailer) Assigned(context.Context, int32) (consumer.Start, error) {
	return consumer.FromGroup(), nil
}

func (mailer) Handle(_ context.Context, b consumer.Batch) error {
	for _, r := range b.Records {
		e, err := event.Decode(r)
		if err != nil {
			return err
		}
		if granted, ok := e.Data.(event.CouponGranted); ok {
			log.Printf("mail to the owner of %s", granted.GrantID)
		}
	}
	return nil
}

func (mailer) Revoked(int32) {}

func ExampleRun() {
	client, err := broker.New(broker.Config{Brokers: []string{"localhost:9092"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err = consumer.Run(ctx, consumer.Config{GroupConfig: consumer.GroupConfig{
		Client:  client,
		GroupID: client.Config().Group("mailer"),
		Topic:   client.Config().Topic(event.TopicGrants),
	}}, mailer{})
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
