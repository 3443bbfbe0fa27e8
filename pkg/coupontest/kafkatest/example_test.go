package kafkatest

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"log"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// The examples of docs/upstream.md, with a Kafka to run on.

// exampleKafka is a Kafka with an empty requests log.
func exampleKafka() (brokers []string, stop func()) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, event.TopicRequests))
	if err != nil {
		log.Fatal(err)
	}
	return cluster.ListenAddrs(), cluster.Close
}

func Example_one() {
	brokers, stop := exampleKafka()
	defer stop()
	ctx := context.Background()

	// region connect
	client, err := broker.New(broker.Config{Brokers: brokers})
	if err != nil {
		log.Fatal(err) // what is wrong with the configuration; nobody was asked yet
	}
	defer client.Close()
	requests, err := producer.New(producer.Config{Client: client})
	if err != nil {
		log.Fatal(err)
	}
	defer requests.Close(ctx) // flushes
	// endregion

	ack, err := ask(ctx, requests, "lucky-box", "user-1")
	fmt.Println(ack.Partition, ack.Offset, err)
	_, err = ask(ctx, requests, "lucky box", "user-1")
	fmt.Println(err)
	// Output:
	// 1 0 <nil>
	// #/coupon_id must be letters, digits and . _ ~ -, and begin with none of . and ~
}

// ask asks for a coupon in the name of a person.
func ask(ctx context.Context, requests *producer.Producer, coupon, user string) (producer.Ack, error) {
	claim, err := event.ClaimRequested{CouponID: coupon, UserID: user}.Message(event.Meta{Source: "/checkout"})
	if err != nil {
		return producer.Ack{}, err // an id that no coupon or person can have
	}
	return requests.Publish(ctx, claim)
}

func Example_many() {
	brokers, stop := exampleKafka()
	defer stop()
	ctx := context.Background()
	client, err := broker.New(broker.Config{Brokers: brokers})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	requests, err := producer.New(producer.Config{Client: client})
	if err != nil {
		log.Fatal(err)
	}
	var people []string
	for n := range 10_000 {
		people = append(people, fmt.Sprintf("user-%d", n))
	}
	fmt.Println(askAll(ctx, requests, "lucky-box", people))
	// Output: 10000 <nil>
}

// askAll asks for many, and returns how many of them are in the log.
func askAll(ctx context.Context, requests *producer.Producer, coupon string, people []string) (asked int, err error) {
	for _, user := range people {
		var claim event.Message
		claim, err = event.ClaimRequested{CouponID: coupon, UserID: user}.Message(event.Meta{Source: "/newsletter"})
		if err != nil {
			break
		}
		err = requests.Send(ctx, claim, func(_ producer.Ack, err error) { // for one coupon by one goroutine at a time
			if err == nil {
				asked++
			} else {
				log.Print(user, ": ", err)
			}
		})
		if err != nil { // not taken: too large, closed, or no room in time
			break
		}
	}
	err = errors.Join(err, requests.Close(ctx)) // returns when each that was taken was told of
	return asked, err
}

func Example_traced() {
	brokers, stop := exampleKafka()
	defer stop()
	ctx := context.Background()
	client, err := broker.New(broker.Config{Brokers: brokers})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	requests, err := producer.New(producer.Config{Client: client})
	if err != nil {
		log.Fatal(err)
	}
	defer requests.Close(ctx)
	order, trace := "order-4711", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

	// region traced
	claim, err := event.ClaimRequested{CouponID: "lucky-box", UserID: "user-1"}.Message(event.Meta{
		Source:        "/checkout",
		CorrelationID: order, // at most 128 printable ASCII characters
		TraceParent:   trace, // the header of W3C Trace Context
	})
	// endregion
	if err != nil {
		log.Fatal(err)
	}
	ack, err := requests.Publish(ctx, claim)
	if err != nil {
		log.Fatal(err)
	}
	fetcher := consumer.NewFetcher(client, event.TopicRequests, ack.Partition, consumer.FetchConfig{})
	defer fetcher.Close()
	got, err := fetcher.Fetch(ctx, ack.Offset)
	if err != nil {
		log.Fatal(err)
	}
	read, err := event.Decode(got.Records[0])
	fmt.Println(read.Source, read.CorrelationID, read.TraceParent, err)
	// Output: /checkout order-4711 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 <nil>
}

func Example_metrics() {
	brokers, stop := exampleKafka()
	defer stop()
	ctx := context.Background()
	client, err := broker.New(broker.Config{Brokers: brokers})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	requests, err := metered(client)
	if err != nil {
		log.Fatal(err)
	}
	for n := range 3 {
		if _, err := ask(ctx, requests, "lucky-box", fmt.Sprintf("user-%d", n)); err != nil {
			log.Fatal(err)
		}
	}
	err = requests.Close(ctx)
	fmt.Println(metrics.Get("records"), metrics.Get("retries"), metrics.Get("failed_tries"), err)
	// Output: 3 <nil> <nil> <nil>
}

// region metrics

var metrics = expvar.NewMap("firstcome_producer")

func metered(client *broker.Client) (*producer.Producer, error) {
	buffered := new(expvar.Int)
	metrics.Set("buffered_bytes", buffered)
	return producer.New(producer.Config{Client: client, Observe: func(s producer.Stats) {
		buffered.Set(int64(s.Buffered)) // near MaxBufferedBytes: Send waits
		metrics.Add("tries", 1)
		if s.Try > 1 {
			metrics.Add("retries", 1)
		}
		if s.Err != nil {
			metrics.Add("failed_tries", 1)
			return
		}
		metrics.Add("records", int64(s.Records))
		metrics.Add("bytes", int64(s.Bytes))
		metrics.AddFloat("seconds", s.Oldest.Seconds()) // from Send or Publish to the acknowledgement
	}})
}

// endregion
