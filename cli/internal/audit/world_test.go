package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
	"github.com/firstcome/firstcome/services/issuer"
	ledgerservice "github.com/firstcome/firstcome/services/ledger"
)

// world is a pipeline that has worked and was stopped. On its servers everything is as it should be, until a test puts its
// hand in. The requests have the times that the test gives them, so that windows retire.
type world struct {
	t        *testing.T
	servers  *coupontest.Servers
	client   *broker.Client
	redis    *redis.Client
	db       *pgxpool.Pool
	keys     redislayout.Keys
	log      []event.Message
	kept     map[string]any  // of Redis, by key
	journal  []event.Message // as the issuer wrote it
	letters  []event.Message // as the issuer wrote them
	requests string          // full topic names
	grants   string          // the journal that is audited
	dead     string          // the dead letters that are audited
	made     int             // topics of tests
	answers  *Answers
	coupons  []string
	timeout  time.Duration // of what is waited for
}

var morning = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// newWorld: tea, three of it in the end, to ada, bob and cyd; lunch, one each day in Seoul, to ada and dan; bun, which
// closed the day before; and a record that nobody can read. The last claim is of a day later, so bun and the first day of
// lunch are retired.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := start(t)
	tea := event.CouponDefined{CouponID: "tea", Limit: 2, Window: "none", TimeZone: "UTC", ClosesAt: morning.Add(100 * time.Hour)}
	w.define(0, tea)                                                                                                   // 0
	w.claim(0, "tea", "ada")                                                                                           // 1
	w.claim(time.Second, "tea", "ada")                                                                                 // 2 already_issued
	w.claim(2*time.Second, "tea", "bob")                                                                               // 3
	w.claim(2*time.Second, "tea", "cyd")                                                                               // 4 sold_out
	w.ask(3*time.Second, event.Message{Key: []byte("tea"), Value: []byte("garbage")})                                  // 5
	w.define(4*time.Second, event.CouponDefined{CouponID: "lunch", Limit: 1, Window: "daily", TimeZone: "Asia/Seoul"}) // 6
	w.claim(5*time.Second, "lunch", "ada")                                                                             // 7
	tea.Limit = 3
	w.define(6*time.Second, tea)                                                                                                               // 8
	w.claim(7*time.Second, "tea", "cyd")                                                                                                       // 9
	w.define(8*time.Second, event.CouponDefined{CouponID: "bun", Limit: 5, Window: "none", TimeZone: "UTC", ClosesAt: morning.Add(time.Hour)}) // 10
	w.claim(9*time.Second, "bun", "ada")                                                                                                       // 11
	w.claim(31*time.Hour, "lunch", "dan")                                                                                                      // 12
	w.claim(31*time.Hour, "milk", "dan")                                                                                                       // 13 unknown_coupon
	w.claim(31*time.Hour, "tea", "eve")                                                                                                        // 14 sold_out
	w.settle()
	return w
}

func start(t *testing.T) *world {
	t.Helper()
	servers := coupontest.Start(t)
	w := &world{
		t: t, timeout: 300 * time.Millisecond, servers: servers, client: servers.Kafka(t), redis: servers.Redis(t), keys: redislayout.New(servers.RedisPrefix, 0),
		requests: servers.TopicPrefix + event.TopicRequests, grants: servers.TopicPrefix + event.TopicGrants, dead: servers.TopicPrefix + event.TopicDeadLetters,
	}
	for _, topic := range []string{w.requests, w.grants, w.dead} {
		w.topic(topic)
	}
	var err error
	if w.db, err = pgxpool.New(t.Context(), servers.DatabaseURL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.db.Close)
	return w
}

// topic makes one in which the records' own times count.
func (w *world) topic(name string) {
	w.t.Helper()
	err := w.client.CreateTopics(w.t.Context(), []broker.TopicSpec{{Name: name, Partitions: 1, Replication: 1, Config: map[string]string{"message.timestamp.type": "CreateTime"}}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.eventually("topic "+name+" is there", func() (bool, error) {
		_, _, err := w.client.Bounds(w.t.Context(), name, 0)
		return err == nil, nil
	})
}

func (w *world) ask(after time.Duration, m event.Message) {
	m.Time = morning.Add(after)
	w.log = append(w.log, m)
}

func (w *world) define(after time.Duration, d event.CouponDefined) {
	w.t.Helper()
	m, err := d.Message(w.meta())
	if err != nil {
		w.t.Fatal(err)
	}
	w.ask(after, m)
}

func (w *world) claim(after time.Duration, couponID, userID string) {
	w.t.Helper()
	m, err := event.ClaimRequested{CouponID: couponID, UserID: userID}.Message(w.meta())
	if err != nil {
		w.t.Fatal(err)
	}
	w.ask(after, m)
}

func (w *world) meta() event.Meta {
	return event.Meta{Source: "/test", CorrelationID: fmt.Sprintf("c%d", len(w.log))}
}

func (w *world) publish(topic string, messages ...event.Message) {
	w.t.Helper()
	p, err := producer.New(producer.Config{Client: w.client, Topic: topic})
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = p.PublishTo(w.t.Context(), 0, messages...)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := errors.Join(err, p.Close(ctx)); err != nil {
		w.t.Fatal(err)
	}
}

// settle lets an issuer and a ledger take the log, and stops them.
func (w *world) settle() {
	w.t.Helper()
	w.publish(w.requests, w.log...)
	stop := w.services(nil)
	w.eventually("the audit finds no difference", func() (bool, error) {
		r, err := w.audit()
		if errors.Is(err, errMoving) || strings.Contains(fmt.Sprint(err), "does not exist") { // the ledger has still to make its tables
			err = nil
		}
		return r.OK && r.Compared.Requests == len(w.log), err
	})
	stop()
	w.journal, w.letters = w.read(w.grants), w.read(w.dead)
	w.keep()
}

// services run until the function is called. hook is the issuer's.
func (w *world) services(hook func(point string, partition int32) error) (stop func()) {
	w.t.Helper()
	log := slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	kafka := broker.Config{Brokers: w.servers.Brokers, TopicPrefix: w.servers.TopicPrefix}
	i, err := issuer.New(issuer.Config{
		Config: kafka, Redis: env.Redis{Addr: []string{w.servers.RedisAddr}, Mode: "single", Prefix: w.servers.RedisPrefix}, AllowCreateTime: true, Hook: hook,
	}, log, prometheus.NewRegistry())
	if err != nil {
		w.t.Fatal(err)
	}
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := ledgerservice.New(ledgerservice.Config{Config: kafka, DatabaseURL: w.servers.DatabaseURL, Listener: door, AllowAnonymous: true}, log, prometheus.NewRegistry())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- i.Run(ctx) }()
	go func() { ended <- l.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, <-ended); err != nil {
			w.t.Errorf("a service ended: %v", err)
		}
	})
	w.t.Cleanup(stop) // also where the test ends by a failure
	return stop
}

// read gives all records of a topic as messages.
func (w *world) read(topic string) []event.Message {
	w.t.Helper()
	has, err := bounds(w.t.Context(), w.client, topic, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	records := newStream(w.client, topic, 0, has.start, has.end, func(int64) {})
	defer records.Close()
	var all []event.Message
	for {
		r, ok, err := records.Record(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, event.Message{Key: r.Key, Value: r.Value, Headers: r.Headers, Time: r.Time})
	}
}

func (w *world) audit() (Report, error) {
	cfg := Config{
		Redis: w.redis, RedisPrefix: w.servers.RedisPrefix, Database: w.db, Timeout: w.timeout, Answers: w.answers, Coupons: w.coupons,
	}
	return run(w.t.Context(), cfg, w.client, w.requests, w.grants, w.dead)
}

func (w *world) eventually(what string, so func() (bool, error)) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); ; {
		if is, err := so(); err != nil {
			w.t.Fatal(err)
		} else if is {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			w.t.Fatalf("in a minute it did not come to pass that %s", what)
		}
	}
}
