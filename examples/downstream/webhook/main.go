// Command webhook posts every grant to a receiver, signed as Standard Webhooks says (https://www.standardwebhooks.com):
// webhook-id is the grant_id, so that the receiver can drop what comes twice.
//
// The grants of a coupon come in order: each waits until the one before it is done. What the receiver says of itself (no
// connection, 429, 502, 503, 504) is waited for. What it says of a grant, or that it says nothing in time, is tried again
// and becomes a dead letter in the end. 410 ends the program.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/producer"
)

var (
	to       = flag.String("to", "", "URL of the receiver")
	timeout  = flag.Duration("timeout", 20*time.Second, "for its answer")
	attempts = flag.Int("attempts", 15, "at a grant, before it is a dead letter")
	wait     = flag.Duration("wait", time.Second, "after the first attempt; it doubles, up to ten minutes")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	if at, err := url.Parse(*to); err != nil || at.Scheme != "https" && at.Scheme != "http" || at.Host == "" {
		return errors.New("-to: must be an http:// or https:// URL")
	}
	keys, err := keysOf(os.Getenv("WEBHOOK_SECRET"))
	if err != nil {
		return err
	}
	client, err := broker.New(broker.Config{
		Brokers:     strings.Split(os.Getenv("KAFKA_BROKERS"), ","),
		TopicPrefix: os.Getenv("KAFKA_TOPIC_PREFIX"),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	letters, err := producer.New(producer.Config{Client: client, Topic: client.Config().Topic("webhook.dead-letters")})
	if err != nil {
		return err
	}
	defer closeSoon(ctx, letters)
	ctx, end := context.WithCancelCause(ctx)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: *timeout / 2}).DialContext // the client's Timeout would hide what failed: see unanswered
	r := &receiver{keys: keys, end: end, client: &http.Client{
		Transport:     transport,
		Timeout:       *timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	err = consumer.Run(ctx, consumer.Config{
		Client:      client,
		GroupID:     client.Config().Group("webhook"),
		DeadLetters: letters,
		Retry:       consumer.Retry{Attempts: *attempts, Min: *wait, Max: max(*wait, 10*time.Minute), Then: consumer.DeadLetter},
	}, consumer.Each{Granted: r.granted})
	return cmp.Or(context.Cause(ctx), err)
}

// closeSoon waits for the dead letters that are under way, and not for ever where Kafka is away.
func closeSoon(ctx context.Context, letters *producer.Producer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := letters.Close(ctx); err != nil {
		log.Print(err)
	}
}
