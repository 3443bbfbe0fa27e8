package issuer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/issuer"
)

func TestService_Decides(t *testing.T) {
	p := newPipeline(t, 3)
	s := p.start()
	for i := range 8 {
		p.define(fmt.Sprint("c", i), 3)
	}
	for i := range 200 {
		p.claim(fmt.Sprint("c", i%9), fmt.Sprint("user ", i%37))
	}
	p.define("c1", 10)
	p.claim("c1", "late")
	p.agrees()
	p.eventually("it is ready", 10*time.Second, func() bool { return len(s.Ready()) == 0 })
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for number := range int32(3) {
		c, ok, err := p.client.Committed(t.Context(), p.TopicPrefix+"firstcome.issuer", p.TopicPrefix+event.TopicRequests, number)
		if end := int64(len(p.records(event.TopicRequests, number))); err != nil || end > 0 && (!ok || c.Offset != end) {
			t.Errorf("partition %d: committed %+v of %d, %v", number, c, end, err)
		}
	}
}

// Records that cannot be read or do not belong become dead letters, told apart by where they came from; the others go on.
func TestService_DeadLetters(t *testing.T) {
	p := newPipeline(t, 2)
	p.define("c", 2)
	own := event.Partition("c", 2)
	good, err := event.ClaimRequested{CouponID: "c", UserID: "u1"}.Message(event.Meta{Source: "/test"})
	if err != nil {
		t.Fatal(err)
	}
	wants := map[string]string{}
	send := func(number int32, reason event.Reason, change func(*event.Message)) {
		t.Helper()
		m := good
		m.Headers = slices.Clone(good.Headers)
		change(&m)
		acks, err := p.ask.PublishTo(t.Context(), number, m)
		if err != nil {
			t.Fatal(err)
		}
		wants[fmt.Sprintf("%d/%d", number, acks[0].Offset)] = string(reason)
	}
	header := func(m *event.Message, key, value string) {
		for i := range m.Headers {
			if m.Headers[i].Key == key {
				m.Headers[i].Value = []byte(value)
			}
		}
	}
	send(own, event.ReasonMalformed, func(m *event.Message) { m.Value = []byte(`{"coupon_id"`) })
	send(own, event.ReasonNotCloudEvent, func(m *event.Message) { m.Headers = nil })
	send(own, event.ReasonUnknownType, func(m *event.Message) { header(m, "ce_type", "firstcome.coupon.granted") })
	send(own, event.ReasonInvalid, func(m *event.Message) { m.Value = []byte(`{"coupon_id":"c"}`) })
	send(own, event.ReasonInvalid, func(m *event.Message) { m.Key = []byte("d") })
	send(1-own, event.ReasonWrongPartition, func(*event.Message) {})
	define := func(text string) func(*event.Message) {
		return func(m *event.Message) {
			header(m, "ce_type", event.TypeCouponDefined)
			m.Value = []byte(text)
		}
	}
	send(own, event.ReasonUnsupportedRules, define(`{"coupon_id":"c","limit":1,"window":"none","time_zone":"UTC","rules":2}`))
	send(own, event.ReasonInvalid, define(`{"coupon_id":"c","limit":1,"window":"none","time_zone":"Local"}`))
	send(own, event.ReasonInvalid, define(`{"coupon_id":"c","limit":0,"window":"none","time_zone":"UTC"}`))
	p.claim("c", "u1")
	p.start()
	p.agrees()
	got := map[string]string{}
	for _, r := range p.records(event.TopicDeadLetters, 0) {
		h := map[string]string{}
		for _, x := range r.Headers {
			h[x.Key] = string(x.Value)
		}
		got[h["fc_partition"]+"/"+h["fc_offset"]] = h["fc_reason"]
	}
	if !maps.Equal(got, wants) {
		t.Errorf("dead letters are %v, not %v", got, wants)
	}
	if f := p.facts(own); len(f) != 2 {
		t.Errorf("the journal has %+v", f)
	}
}

// A loop that ends between any two effects, as in a crash, is followed by one that ends it all; and whatever is emitted
// again has the very same bytes.
func TestService_CrashesBetweenEffects(t *testing.T) {
	for _, point := range []string{"loaded", "dead_lettered", "decided", "published", "emitted", "committed"} {
		t.Run(point, func(t *testing.T) {
			p := newPipeline(t, 1)
			var crashes atomic.Int32
			p.start(func(c *issuer.Config) {
				c.Hook = func(at string, _ int32) error {
					if at == point && crashes.Add(1) <= 3 {
						return errors.New("crash")
					}
					return nil
				}
			})
			p.define("c", 5)
			for i := range 20 {
				p.claim("c", fmt.Sprint("u", i%8))
				if i == 10 {
					p.publish(event.Message{Key: []byte("c"), Value: []byte("x")}, nil)
				}
			}
			p.agrees()
			if crashes.Load() == 0 {
				t.Error("never came to that point")
			}
			sameBytes(t, p.records(event.TopicGrants, 0))
		})
	}
}

func sameBytes(t *testing.T, records []event.Record) {
	t.Helper()
	seen := map[string]event.Record{}
	for _, r := range records {
		source, ok := event.SourceOf(r)
		if !ok {
			t.Fatalf("no source: %+v", r)
		}
		key := fmt.Sprint(source)
		was, again := seen[key]
		if again && (!bytes.Equal(was.Value, r.Value) || !bytes.Equal(was.Key, r.Key) || !reflect.DeepEqual(was.Headers, r.Headers) || !was.Time.Equal(r.Time)) {
			t.Errorf("source %v differs:\n%s\n%s", source, was.Value, r.Value)
		}
		seen[key] = r
	}
}

// An emptied Redis is whole again within 3 s, though nobody asks for anything.
func TestService_RebuildsWithoutTraffic(t *testing.T) {
	p := newPipeline(t, 2)
	p.start()
	for i := range 6 {
		p.define(fmt.Sprint("c", i), 3)
		for j := range 5 {
			p.claim(fmt.Sprint("c", i), fmt.Sprint("u", j))
		}
	}
	p.agrees()
	for range 2 {
		p.FlushRedis(t)
		began := time.Now()
		for number := range int32(2) {
			end := int64(len(p.records(event.TopicRequests, number)))
			p.eventually("Redis is whole again", 3*time.Second-time.Since(began), func() bool { return p.progress(number) == end-1 })
		}
		p.agrees()
	}
}

// A newer issuer has journaled what this one does not know, last of all, and Redis is lost: the rebuild goes on behind it.
func TestService_JournalOfANewerVersion(t *testing.T) {
	p := newPipeline(t, 1)
	newer := func(m *event.Message) {
		for i := range m.Headers {
			if m.Headers[i].Key == "ce_type" {
				m.Headers[i].Value = []byte("firstcome.coupon.stopped")
			}
		}
	}
	s := p.start()
	p.define("c", 3)
	p.claim("c", "u1")
	p.agrees()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	request, err := event.ClaimRequested{CouponID: "c", UserID: "u1"}.Message(event.Meta{Source: "/test"})
	newer(&request)
	asked := p.publish(request, err)
	fact := p.facts(0)[1]
	fact.Source.Offset = asked.Offset
	record, err := issuer.FactMessage(p.TopicPrefix+event.TopicRequests, fact)
	if err != nil {
		t.Fatal(err)
	}
	newer(&record)
	if _, err := p.producer(event.TopicGrants).PublishTo(t.Context(), 0, record); err != nil {
		t.Fatal(err)
	}
	p.FlushRedis(t)
	s = p.start()
	p.eventually("Redis is whole again", 20*time.Second, func() bool { return p.progress(0) == asked.Offset })
	p.claim("c", "u2")
	p.agrees()
	if n := counter(t, s.registry, "coupon_issuer_unknown_records_total"); n != 1 {
		t.Errorf("counted %v records of a newer version", n)
	}
	if letters := p.records(event.TopicDeadLetters, 0); len(letters) > 0 {
		t.Errorf("%d requests became dead letters, which the newer issuer had decided", len(letters))
	}
}

// counter is the value of one without labels.
func counter(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// Partitions move between issuers, and nobody gets anything twice.
func TestService_Several(t *testing.T) {
	p := newPipeline(t, 4)
	first := p.start()
	for i := range 8 {
		p.define(fmt.Sprint("c", i), 20)
	}
	asked := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 400 && err == nil; i++ {
			var m event.Message
			if m, err = (event.ClaimRequested{CouponID: fmt.Sprint("c", i%8), UserID: fmt.Sprint("u", i%90)}).Message(event.Meta{Source: "/test"}); err == nil {
				_, err = p.ask.Publish(t.Context(), m)
			}
		}
		asked <- err
	}()
	second := p.start()
	p.eventually("the second has partitions", 20*time.Second, func() bool { return gauge(t, second.registry, "coupon_issuer_progress_offset") > 0 })
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	p.agrees()
}

// gauge counts the series of a metric.
func gauge(t *testing.T, r *prometheus.Registry, name string) int {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return len(f.GetMetric())
		}
	}
	return 0
}

func TestService_WaitsForTopics(t *testing.T) {
	servers := coupontest.Start(t, coupontest.Kafka, coupontest.Redis)
	p := &pipeline{Servers: servers, t: t, client: servers.Kafka(t), redis: servers.Redis(t), parts: 1}
	s := p.start()
	topic := "topic " + servers.TopicPrefix + event.TopicRequests
	p.eventually("it says what it waits for", 10*time.Second, func() bool { return slices.Contains(s.Ready(), topic) })
	servers.CreateTopics(t, 1)
	p.ask = p.producer(event.TopicRequests)
	p.define("c", 1)
	p.agrees()
}

func TestService_Refuses(t *testing.T) {
	logTime := map[string]string{"message.timestamp.type": "LogAppendTime"}
	for name, c := range map[string]struct {
		requests, grants int
		config           map[string]string
		allow            bool
		want             string
	}{
		"other numbers of partitions": {2, 3, logTime, false, "must have the same number"},
		"clients' clocks":             {1, 1, nil, false, "CreateTime"},
		"clients' clocks, allowed":    {1, 1, nil, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			servers := coupontest.Start(t, coupontest.Kafka, coupontest.Redis)
			p := &pipeline{Servers: servers, t: t, client: servers.Kafka(t), redis: servers.Redis(t), parts: 1}
			spec := func(name string, n int, config map[string]string) broker.TopicSpec {
				return broker.TopicSpec{Name: servers.TopicPrefix + name, Partitions: n, Replication: 1, Config: config}
			}
			err := p.client.CreateTopics(t.Context(), []broker.TopicSpec{
				spec(event.TopicRequests, c.requests, c.config), spec(event.TopicGrants, c.grants, nil), spec(event.TopicDeadLetters, 1, nil),
			})
			if err != nil {
				t.Fatal(err)
			}
			cfg := p.config()
			cfg.AllowCreateTime = c.allow
			s, err := issuer.New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // an issuer that does not refuse runs on
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			if c.want == "" {
				p.ask = p.producer(event.TopicRequests)
				p.define("c", 1)
				p.agrees()
				cancel()
			}
			err = <-ended
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("ended with %v, not %q", err, c.want)
			}
		})
	}
}
