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
	requests, err := producer.New(producer.Config{Client: client, Topic: client.Config().Topic(event.TopicRequests)})
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
