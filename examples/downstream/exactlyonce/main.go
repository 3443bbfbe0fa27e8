// Command exactlyonce keeps a table of its own: a row for each grant, in the order of the journal, once, whatever is
// killed and whenever.
//
// One transaction writes the rows and how far the journal has been read: they are there together or not at all, and
// whoever starts next reads on from there.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
)

// Without a group each process reads the whole journal, and one that was killed goes on as soon as it is there again.
// Several are as exact, but all do the same work; in a group they share it, and what a killed one had waits for six
// seconds before it is another's.
var group = flag.String("group", "", "share the journal with the other processes of this group")

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	db, err := open(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.Close()
	client, err := broker.New(broker.Config{
		Brokers:     strings.Split(os.Getenv("KAFKA_BROKERS"), ","),
		TopicPrefix: os.Getenv("KAFKA_TOPIC_PREFIX"),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	return consumer.Run(ctx, consumer.Config{Client: client, GroupID: *group}, &table{db: db})
}
