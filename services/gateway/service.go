// Package gateway is the door of Firstcome: claims and coupons come in over HTTP and go into the requests log, answers
// come out of what the log decided. It decides nothing itself and keeps nothing: any number of gateways may run side by
// side, and each may be killed at any time.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/firstcome/firstcome/internal/lifecycle"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
	"github.com/firstcome/firstcome/services/gateway/internal/redisstore"
)

const (
	appendDeadline = 4 * time.Second // after that the person is asked to come again
	shedAfter      = time.Second     // age of a partition's oldest append from which on new claims are turned away
	guardPending   = 5 * time.Second // longer than any append: nobody passes a guard whose claim may still get in
	guardHeld      = time.Minute
	outcomeWait    = 10 * time.Second // how long PUT waits for the issuer
	drain          = 8 * time.Second  // an append, a read and the answer
	closeProducer  = time.Second
	defaultFlight  = 1_000 // as Config says, as is the next one
	defaultConns   = 50_000
)

// Service is one gateway.
type Service struct {
	cfg      Config
	log      *slog.Logger
	metrics  *metrics
	listener net.Listener
	now      func() time.Time
	sealer   *sealer
	store    *redisstore.Store
	kafka    *broker.Client
	ledger   *ledger // nil: there is none
	waiters  *waiters
	board    *board
	waiting  lifecycle.Waiting

	people             *people // nil: nobody claims by a JWT
	persons, addresses *limiter
	flight             *flight

	topicsFound    func()
	requests       atomic.Pointer[requestsLog] // nil until the topics are there
	redis, brokers *server
	releases       sync.WaitGroup // of guards, for people who have their answer already
}

// requestsLog is the way to the log, once the topics are there.
type requestsLog struct {
	*partitions
	producer *producer.Producer
	clock    func() time.Time // of the records that this gateway writes
}

// New listens, and does nothing else that could fail for a server that is down: services start in any order.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Service, error) {
	if err := errors.Join(cfg.Validate()...); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	sealer, err := newSealer(cfg.ClaimIDKeys)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	ledger, err := newLedger(cfg.LedgerURL, cfg.LedgerToken)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	kafka, err := broker.New(cfg.Config)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	cfg.MaxWaiters = cmp.Or(cfg.MaxWaiters, defaultWaiters)
	cfg.MaxInFlight = cmp.Or(cfg.MaxInFlight, defaultFlight)
	cfg.MaxConnections = cmp.Or(cfg.MaxConnections, defaultConns)
	listener, err := listen(cfg, log)
	if err != nil {
		kafka.Close()
		return nil, fmt.Errorf("gateway: %w", err)
	}
	s := &Service{
		cfg: cfg, log: log, listener: listener, now: cfg.Now, sealer: sealer,
		kafka: kafka, store: redisstore.Open(cfg.Redis), waiters: newWaiters(cfg.MaxWaiters), flight: newFlight(cfg.MaxInFlight),
	}
	s.ledger = ledger
	if s.now == nil {
		s.now = time.Now
	}
	s.persons, s.addresses = newLimiter("person", cfg.PersonRateLimit, s.now), newLimiter("address", cfg.AddressRateLimit, s.now)
	if cfg.JWTKeys != "" {
		keys := newKeyring(cfg.JWTKeys, log, s.waiting.For("the keys for JWTs"))
		s.people = newPeople(cfg.JWTIssuer, cfg.JWTAudience, keys, s.now)
	}
	s.metrics = newMetrics(reg, s.waiters.Count, s.flight.Count)
	s.board = newBoard(s)
	s.topicsFound = s.waiting.For("topics " + cfg.Topic(event.TopicRequests) + " and " + cfg.Topic(event.TopicGrants))
	s.redis, s.brokers = s.newServer("redis"), s.newServer("kafka")
	return s, nil
}

func listen(cfg Config, log *slog.Logger) (ln net.Listener, err error) {
	var certificate *lifecycle.Certificate
	if cfg.CertFile != "" {
		if certificate, err = lifecycle.LoadCertificate(cfg.CertFile, cfg.KeyFile, log); err != nil {
			return nil, fmt.Errorf("TLS_CERT and TLS_KEY: %w", err)
		}
	}
	if ln = cfg.Listener; ln == nil {
		if ln, err = lifecycle.Listen(cfg.ListenAddr); err != nil {
			return nil, err
		}
	}
	if cfg.AllowAnonymous && !onLoopback(ln.Addr()) {
		if cfg.Listener == nil {
			_ = ln.Close()
		}
		return nil, fmt.Errorf("%s can be reached from other machines: tokens are required", ln.Addr())
	}
	return cfg.front(ln, certificate), nil
}

// Addr is the public address.
func (s *Service) Addr() net.Addr { return s.listener.Addr() }

// Ready gives what the gateway waits for; empty when it is ready.
func (s *Service) Ready() []string { return s.waiting.Ready() }

// Run answers until ctx ends, and then those in flight: people who wait are told 202 with their claim id. Until Kafka and
// Redis are there, everything is answered with 503. An error other than that of the network means that this gateway must
// not run at all: topics that do not fit.
func (s *Service) Run(ctx context.Context) error {
	defer s.kafka.Close()
	defer s.store.Close()
	defer s.ledger.Close()
	// Whoever is answered while the server drains still needs Redis and Kafka.
	behind, stopBehind := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBehind()
	var background errgroup.Group
	serve, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	background.Go(func() error {
		err := s.connect(behind)
		if err != nil && behind.Err() == nil {
			giveUp(err)
			return err
		}
		return nil
	})
	background.Go(func() error { s.watchRedis(behind); return nil })
	background.Go(func() error { s.watchKafka(behind); return nil })
	background.Go(func() error { s.board.Run(behind); return nil })
	if s.people != nil {
		background.Go(func() error { s.people.keys.Run(behind); return nil })
	}

	served := lifecycle.ServeHTTP(serve, s.listener, s.handler(), drain)
	stopBehind()
	err := background.Wait()
	s.releases.Wait()
	if l := s.requests.Load(); l != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeProducer)
		defer cancel()
		err = errors.Join(err, l.producer.Close(closing))
	}
	return errors.Join(served, err)
}

// connect waits for the topics and Redis, and then listens to the outcomes.
func (s *Service) connect(ctx context.Context) error {
	l, err := s.openLog(ctx)
	if err != nil {
		return err
	}
	s.requests.Store(l)
	s.topicsFound()
	s.log.Info("the requests log is open", "topic", l.topic, "partitions", l.Count())
	s.store.Listen(ctx, l.Count(), s.heard)
	return nil
}

// openLog tries until the topics are there. Its errors are those that trying again cannot mend.
func (s *Service) openLog(ctx context.Context) (*requestsLog, error) {
	requests, grants := s.cfg.Topic(event.TopicRequests), s.cfg.Topic(event.TopicGrants)
	var retry broker.Backoff
	for said := ""; ; {
		l, err := s.tryOpenLog(ctx, requests, grants)
		var unfit *unfitTopicError
		if err == nil || errors.As(err, &unfit) {
			return l, err
		}
		if text := err.Error(); text != said {
			s.log.Warn("waiting for the topics", "error", text)
			said = text
		}
		if err := retry.Wait(ctx); err != nil {
			return nil, err
		}
	}
}

// unfitTopicError is a topic on which claims would be decided wrongly.
type unfitTopicError struct{ reason string }

func (e *unfitTopicError) Error() string { return e.reason }

func (s *Service) tryOpenLog(ctx context.Context, requests, grants string) (*requestsLog, error) {
	r, err := s.kafka.Topic(ctx, requests)
	if err != nil {
		return nil, err
	}
	g, err := s.kafka.Topic(ctx, grants)
	switch {
	case err != nil:
		return nil, err
	case r.Partitions != g.Partitions:
		return nil, &unfitTopicError{fmt.Sprintf("topic %s has %d partitions and %s has %d: they must agree",
			requests, r.Partitions, grants, g.Partitions)}
	case !r.LogAppendTime && !s.cfg.AllowCreateTime:
		return nil, &unfitTopicError{fmt.Sprintf("topic %s has message.timestamp.type=CreateTime: it must be LogAppendTime, "+
			"since the broker's clock decides opening and closing", requests)}
	}
	p, err := loadPartitions(ctx, s.kafka, requests, r.Partitions)
	if err != nil {
		return nil, err
	}
	out, err := producer.New(producer.Config{Client: s.kafka, Topic: requests, Log: s.log})
	if err != nil {
		return nil, err
	}
	l := &requestsLog{partitions: p, producer: out, clock: time.Now}
	if !r.LogAppendTime {
		l.clock = s.now
	}
	return l, nil
}
