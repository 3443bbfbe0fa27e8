// Package kafkatest holds the tests of pkg/broker, pkg/producer and
// pkg/consumer that need a Kafka: on kfake by default, on a real one with
// COUPONTEST_SERVERS=containers or attach. They live in this module because
// pkg's dependency on kafka-go is its only one.
package kafkatest

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

// place is a topic and how to reach it.
type place struct {
	*broker.Client
	servers *coupontest.Servers
	topic   string
	stamped bool // the broker stamps the records
}

// newPlace makes a topic whose records the broker stamps, unless config says
// otherwise.
func newPlace(t testing.TB, partitions int, config map[string]string) place {
	t.Helper()
	servers := coupontest.Start(t, coupontest.Kafka)
	return placeOn(t, servers, partitions, config)
}

func placeOn(t testing.TB, servers *coupontest.Servers, partitions int, config map[string]string) place {
	t.Helper()
	if config == nil {
		config = map[string]string{"message.timestamp.type": "LogAppendTime"}
	}
	p := place{servers: servers, topic: servers.TopicPrefix + "topic", Client: servers.Kafka(t)}
	makeTopic(t, p.Client, p.topic, partitions, config)
	// kfake never does, whatever the topic's settings say.
	p.stamped = config["message.timestamp.type"] == "LogAppendTime" && servers.Kind != "embedded"
	return p
}

func makeTopic(t testing.TB, client *broker.Client, topic string, partitions int, config map[string]string) {
	t.Helper()
	ctx := soon(t)
	spec := broker.TopicSpec{Name: topic, Partitions: partitions, Replication: 1, Config: config}
	err := client.CreateTopics(ctx, []broker.TopicSpec{spec})
	for partition := 0; err == nil && partition < partitions; partition++ {
		err = eventually(ctx, func() error {
			_, _, err := client.Bounds(ctx, topic, int32(partition))
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// soon is a context for what must not take long.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// eventually tries until there is no error.
func eventually(ctx context.Context, try func() error) error {
	var retry broker.Backoff
	for {
		err := try()
		if err == nil {
			return nil
		}
		if retry.Wait(ctx) != nil {
			return err
		}
	}
}

func (p place) producer(t testing.TB, change ...func(*producer.Config)) *producer.Producer {
	t.Helper()
	cfg := producer.Config{Client: p.Client, Topic: p.topic, Log: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&cfg)
	}
	made, err := producer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what is to be flushed, a test flushes itself
		made.Close(ctx)
	})
	return made
}

func (p place) fetcher(t testing.TB, partition int32, cfg consumer.FetchConfig) *consumer.Fetcher {
	t.Helper()
	f := consumer.NewFetcher(p.Client, p.topic, partition, cfg)
	t.Cleanup(f.Close)
	return f
}

// all reads a partition from its start to its end.
func (p place) all(t testing.TB, partition int32) []event.Record {
	t.Helper()
	ctx := soon(t)
	start, _, err := p.Bounds(ctx, p.topic, partition)
	if err != nil {
		t.Fatal(err)
	}
	var records []event.Record
	_, err = p.fetcher(t, partition, consumer.FetchConfig{}).ReadToEnd(ctx, start, func(more []event.Record) error {
		records = append(records, more...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// kgo is another Kafka client, to compare with.
func (p place) kgo(t testing.TB, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	options = append([]kgo.Opt{
		kgo.SeedBrokers(p.Config().Brokers...), kgo.DefaultProduceTopic(p.topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, options...)
	client, err := kgo.NewClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// numbered is a message that says where in a row it belongs.
func numbered(key string, n int) event.Message {
	return event.Message{
		Key: []byte(key), Value: fmt.Appendf(nil, `{"n":%d}`, n),
		Headers: []event.Header{{Key: "row", Value: []byte(key)}, {Key: "n", Value: []byte(strconv.Itoa(n))}},
	}
}

func header(r event.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
