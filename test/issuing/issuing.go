// Package issuing runs an issuer inside a test's process, on the test's own place on the servers, and looks into the
// topics around it with the eyes of a stranger: what it writes goes there by kafka-go alone.
package issuing

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/issuer"
)

// patience is how long one thing may take; a test that waits longer failed.
const patience = time.Minute

// Issuing is a running issuer and its topics.
type Issuing struct {
	Servers    *coupontest.Servers
	Partitions int

	client *broker.Client
}

// Start makes the topics and runs an issuer until the test ends. It must end without an error.
func Start(t *testing.T, partitions int) *Issuing {
	t.Helper()
	servers := coupontest.Start(t, coupontest.Kafka, coupontest.Redis)
	servers.CreateTopics(t, partitions)
	run(t, servers)
	return &Issuing{Servers: servers, Partitions: partitions, client: servers.Kafka(t)}
}

func run(t *testing.T, servers *coupontest.Servers) {
	t.Helper()
	var cfg issuer.Config
	cfg.Brokers, cfg.TopicPrefix = servers.Brokers, servers.TopicPrefix
	cfg.Redis = env.Redis{Addr: []string{servers.RedisAddr}, Mode: "single", Prefix: servers.RedisPrefix}
	log := slog.New(slog.NewJSONHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	service, err := issuer.New(cfg, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the issuer ended: %v", err)
		}
	})
}

// Topic is a topic's full name.
func (i *Issuing) Topic(name string) string { return i.Servers.TopicPrefix + name }

// Write appends records as one batch to a partition of the requests topic and gives the offset of the first.
func (i *Issuing) Write(t *testing.T, partition int32, codec kafka.Compression, messages ...event.Message) int64 {
	t.Helper()
	records := make([]kafka.Record, len(messages))
	for n, m := range messages {
		records[n] = kafka.Record{Key: kafka.NewBytes(m.Key), Value: kafka.NewBytes(m.Value)}
		for _, h := range m.Headers {
			records[n].Headers = append(records[n].Headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	res, err := i.client.Kafka().Produce(ctx, &kafka.ProduceRequest{
		Topic: i.Topic(event.TopicRequests), Partition: int(partition), RequiredAcks: kafka.RequireAll,
		Compression: codec, Records: kafka.NewRecordReader(records...),
	})
	if err != nil {
		t.Fatal(err)
	}
	if res.Error != nil {
		t.Fatal(res.Error)
	}
	return res.BaseOffset
}

// Tail reads one partition of a topic from its beginning on.
type Tail struct {
	fetcher *consumer.Fetcher
	next    int64
	pending []event.Record
}

// Tail makes one; it is closed when the test ends.
func (i *Issuing) Tail(t *testing.T, topic string, partition int32) *Tail {
	f := consumer.NewFetcher(i.client, i.Topic(topic), partition, consumer.FetchConfig{MaxWait: 100 * time.Millisecond})
	t.Cleanup(f.Close)
	return &Tail{fetcher: f}
}

// Next waits for the next record.
func (l *Tail) Next(t *testing.T) event.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(l.pending) == 0 {
		l.fetch(ctx, t)
	}
	r := l.pending[0]
	l.pending = l.pending[1:]
	return r
}

// Rest is what stands behind the last record that was taken, up to the end that the partition has now.
func (l *Tail) Rest(t *testing.T) []event.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for end := int64(-1); end != l.next; {
		end = l.fetch(ctx, t)
	}
	rest := l.pending
	l.pending = nil
	return rest
}

func (l *Tail) fetch(ctx context.Context, t *testing.T) (end int64) {
	t.Helper()
	got, err := l.fetcher.Fetch(ctx, l.next)
	if err != nil {
		t.Fatalf("nothing came: %v", err)
	}
	l.next = got.Next
	l.pending = append(l.pending, got.Records...)
	return got.End
}

// Grant waits for the next record of a journal that is a grant, and reads it.
func (l *Tail) Grant(t *testing.T) event.CouponGranted {
	t.Helper()
	for {
		e, err := event.Decode(l.Next(t))
		if err != nil {
			t.Fatalf("in the journal: %v", err)
		}
		if g, ok := e.Data.(event.CouponGranted); ok {
			return g
		}
	}
}

// Headers are a record's headers by name.
func Headers(r event.Record) map[string]string {
	all := make(map[string]string, len(r.Headers))
	for _, h := range r.Headers {
		all[h.Key] = string(h.Value)
	}
	return all
}
