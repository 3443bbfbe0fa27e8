package kafkatest

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/producer"
)

// Not parallel: it runs before the parallel tests go on, so that all
// goroutines are its own.
func TestNothingIsLeftRunning(t *testing.T) {
	p := newPlace(t, 2, nil)
	client, err := broker.New(p.Config())
	if err != nil {
		t.Fatal(err)
	}
	ctx := soon(t)
	made, err := producer.New(producer.Config{Client: client, Topic: p.topic})
	if err != nil {
		t.Fatal(err)
	}
	for partition := range int32(2) {
		if _, err := made.PublishTo(ctx, partition, numbered("row", 0)); err != nil {
			t.Fatal(err)
		}
	}
	fetcher := consumer.NewFetcher(client, p.topic, 0, consumer.FetchConfig{})
	ended, cancel := context.WithCancel(ctx)
	if _, err := fetcher.Fetch(ended, 0); err != nil {
		t.Fatal(err)
	}
	own := p
	own.Client = client
	h := &handler{}
	stop := own.run(t, h)
	h.await(t, 0, `[{"n":0}]`)
	cancel()
	stop()
	fetcher.Close()
	if err := made.Close(ctx); err != nil {
		t.Error(err)
	}
	client.Close()
	p.Close()
	err = eventually(ctx, func() error {
		if left := ours(); len(left) > 0 {
			return fmt.Errorf("still running:\n%s", strings.Join(left, "\n\n"))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

var ourCode = regexp.MustCompile(`firstcome/pkg/(producer|consumer|broker|internal)|segmentio/kafka-go`)

// ours are the goroutines that belong to the packages under test.
func ours() (left []string) {
	stacks := make([]byte, 4<<20)
	for _, stack := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if ourCode.MatchString(stack) && !strings.Contains(stack, "kafkatest.ours") {
			left = append(left, stack)
		}
	}
	return left
}
