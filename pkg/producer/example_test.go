package producer_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// A back end asks for a coupon in the name of a person.
func Example() {
	client, err := broker.New(broker.Config{Brokers: []string{"localhost:9092"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	requests, err := producer.New(producer.Config{Client: client})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer requests.Close(ctx) // flushes

	claim := event.ClaimRequested{CouponID: "lucky-box", UserID: "user-1"}
	m, err := claim.Message(event.Meta{Source: "/checkout"})
	if err != nil {
		log.Fatal(err)
	}
	ack, err := requests.Publish(ctx, m)
	switch {
	case errors.Is(err, producer.ErrUnknownOutcome):
		log.Print("it may be in the log, once; asking again does no harm, nobody gets two")
	case err != nil:
		log.Print("it is not in the log: ", err)
	default:
		fmt.Println(ack.Partition, ack.Offset, ack.AppendTime)
	}
}

// Many claims, without waiting for each.
func ExampleProducer_Send() {
	client, err := broker.New(broker.Config{Brokers: []string{"localhost:9092"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	requests, err := producer.New(producer.Config{Client: client, MaxBufferedBytes: 8 << 20})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for n := range 1_000_000 {
		m, err := event.ClaimRequested{CouponID: "lucky-box", UserID: fmt.Sprint("user-", n)}.Message(event.Meta{Source: "/newsletter"})
		if err != nil {
			log.Fatal(err)
		}
		err = requests.Send(ctx, m, func(_ producer.Ack, err error) {
			if err != nil {
				log.Print("user ", n, ": ", err)
			}
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	if err := requests.Close(ctx); err != nil { // every claim has been told of now
		log.Fatal(err)
	}
}

// worthAnother tells whether a claim that was not acknowledged should be asked
// again, by whoever still has it.
func worthAnother(err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, producer.ErrUnknownOutcome): // perhaps it is in the log, once: a second claim gets nobody two
		return true
	case errors.Is(err, producer.ErrUnavailable): // it is not, and won't be
		return true
	case errors.Is(err, producer.ErrClosed): // by another producer
		return true
	default: // ErrTooLarge
		return false
	}
}

func Example_outcomes() {
	refused := fmt.Errorf("topic coupon.requests, partition 3: %w", producer.ErrTooLarge)
	fmt.Println(worthAnother(nil), worthAnother(refused), worthAnother(producer.ErrUnknownOutcome))
	// Output: false false true
}
