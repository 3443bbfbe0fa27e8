package issuer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
	"github.com/firstcome/firstcome/services/issuer"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

// pipeline is a requests topic, an issuer or more, and what came of it.
type pipeline struct {
	*coupontest.Servers
	t      testing.TB
	client *broker.Client
	redis  *redis.Client
	ask    *producer.Producer
	parts  int
}

func newPipeline(t testing.TB, partitions int) *pipeline {
	t.Helper()
	servers := coupontest.Start(t, coupontest.Kafka, coupontest.Redis)
	servers.CreateTopics(t, partitions)
	p := &pipeline{Servers: servers, t: t, client: servers.Kafka(t), redis: servers.Redis(t), parts: partitions}
	p.ask = p.producer(event.TopicRequests)
	return p
}

func (p *pipeline) producer(topic string) *producer.Producer {
	p.t.Helper()
	made, err := producer.New(producer.Config{Client: p.client, Topic: p.TopicPrefix + topic})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = made.Close(context.Background()) })
	return made
}

func (p *pipeline) config() issuer.Config {
	return issuer.Config{
		Config: broker.Config{Brokers: p.Brokers, TopicPrefix: p.TopicPrefix},
		Redis:  env.Redis{Addr: []string{p.RedisAddr}, Mode: "single", Prefix: p.RedisPrefix},
	}
}

type running struct {
	*issuer.Service
	registry *prometheus.Registry
	stop     func() error // waits for the end
}

func (p *pipeline) start(change ...func(*issuer.Config)) *running {
	p.t.Helper()
	cfg := p.config()
	for _, c := range change {
		c(&cfg)
	}
	r := &running{registry: prometheus.NewRegistry()}
	log := slog.New(slog.NewTextHandler(lines{p.t}, nil))
	s, err := issuer.New(cfg, log, r.registry)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Service = s
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var stopped atomic.Bool
	r.stop = func() error {
		cancel()
		if stopped.Swap(true) {
			return nil
		}
		return <-ended
	}
	p.t.Cleanup(func() { _ = r.stop() })
	return r
}

// lines writes the service's log as the test's.
type lines struct{ t testing.TB }

func (l lines) Write(b []byte) (int, error) {
	if l.t.Context().Err() == nil {
		l.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

func (p *pipeline) publish(m event.Message, err error) producer.Ack {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	ack, err := p.ask.Publish(p.t.Context(), m)
	if err != nil {
		p.t.Fatal(err)
	}
	return ack
}

func (p *pipeline) define(id string, limit int64) producer.Ack {
	p.t.Helper()
	return p.publish(event.CouponDefined{CouponID: id, Limit: limit, Window: "none", TimeZone: "UTC"}.Message(event.Meta{Source: "/test"}))
}

func (p *pipeline) claim(id, user string) producer.Ack {
	p.t.Helper()
	return p.publish(event.ClaimRequested{CouponID: id, UserID: user}.Message(event.Meta{Source: "/test", CorrelationID: "of " + id}))
}

// eventually waits until what the pipeline did is seen.
func (p *pipeline) eventually(what string, within time.Duration, seen func() bool) {
	p.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(within)
	for !seen() {
		select {
		case <-tick.C:
		case <-late:
			p.t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// records reads a whole partition.
func (p *pipeline) records(topic string, number int32) []event.Record {
	p.t.Helper()
	f := consumer.NewFetcher(p.client, p.TopicPrefix+topic, number, consumer.FetchConfig{})
	defer f.Close()
	var all []event.Record
	if _, err := f.ReadToEnd(p.t.Context(), 0, func(r []event.Record) error { all = append(all, r...); return nil }); err != nil {
		p.t.Fatal(err)
	}
	return all
}

// facts are what a consumer sees of the journal: without duplicates, and without what only a newer version can read.
func (p *pipeline) facts(number int32) []fcfs.Fact {
	p.t.Helper()
	var facts []fcfs.Fact
	unseen, _ := consumer.Unseen(p.records(event.TopicGrants, number), consumer.NoSource)
	for _, r := range unseen {
		f, err := issuer.ReadFact(r)
		var bad *event.DecodeError
		if errors.As(err, &bad) && bad.Reason == event.ReasonUnknownType {
			continue
		}
		if err != nil {
			p.t.Fatal(err)
		}
		facts = append(facts, f)
	}
	return facts
}

// expected is what the dumb model makes of a whole partition.
func (p *pipeline) expected(number int32) (*fcfs.Log, []fcfs.Fact) {
	p.t.Helper()
	l := fcfs.NewLog(number)
	var facts []fcfs.Fact
	for _, r := range p.records(event.TopicRequests, number) {
		q := partition.ReadRequest(r, p.parts)
		var f *fcfs.Fact
		switch {
		case q.Refused != nil:
			l.Invalid(q.Last, q.Time)
		case q.Definition != nil:
			_, f = l.Define(q.Offset, q.Time, *q.Definition)
		default:
			_, f = l.Claim(q.Offset, q.Time, q.CouponID, q.UserID)
		}
		if f != nil {
			f.CorrelationID, f.TraceParent = q.CorrelationID, q.TraceParent
			facts = append(facts, *f)
		}
	}
	return l, facts
}

func (p *pipeline) progress(number int32) int64 {
	value, err := p.redis.Get(p.t.Context(), redislayout.New(p.RedisPrefix, number).Progress()).Result()
	if err != nil {
		return -1
	}
	at, err := redislayout.ParseProgress(value)
	if err != nil {
		p.t.Fatal(err)
	}
	return at.Offset
}

// agrees waits until all that was asked is decided and journaled, and compares with the dumb model: the journal, and who
// holds what in Redis.
func (p *pipeline) agrees() {
	p.t.Helper()
	for number := range int32(p.parts) {
		l, want := p.expected(number)
		p.eventually(fmt.Sprintf("progress of partition %d is %d", number, l.Progress()), 2*time.Minute, func() bool { return p.progress(number) == l.Progress() })
		p.eventually(fmt.Sprintf("the journal of partition %d has %d facts", number, len(want)), 2*time.Minute, func() bool { return len(p.facts(number)) >= len(want) })
		if got := p.facts(number); !reflect.DeepEqual(got, want) {
			p.t.Errorf("partition %d: the journal has\n%+v, not\n%+v", number, got, want)
		}
		for id, c := range l.Coupons() {
			held, err := p.redis.HGetAll(p.t.Context(), redislayout.New(p.RedisPrefix, number).Granted(id, "")).Result()
			if err != nil {
				p.t.Fatal(err)
			}
			want := map[string]string{}
			for user, e := range c.People("") {
				want[user] = redislayout.Entry(e).String()
			}
			if !maps.Equal(held, want) {
				p.t.Errorf("partition %d: Redis has %v for %s, not %v", number, held, id, want)
			}
		}
	}
}
