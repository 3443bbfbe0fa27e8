// Package ledger writes the journal into Postgres, exactly once, and answers who got what.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/firstcome/firstcome/internal/lifecycle"
	"github.com/firstcome/firstcome/internal/telemetry"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

const (
	group      = "firstcome.ledger"
	drain      = 4 * time.Second // for requests in flight, when stopping
	leaving    = 4 * time.Second // for the consumer group, when stopping
	closing    = 2 * time.Second // for dead letters under way, and then for Postgres, when stopping
	lookAround = time.Second     // between two looks at whether servers answer
	askLimit   = 2 * time.Second
)

// Service is a ledger. Any number of them share the journal's partitions.
type Service struct {
	cfg      Config
	log      *slog.Logger
	listener net.Listener
	client   *broker.Client
	letters  *producer.Producer
	store    *postgres.Store
	posting  posting.Config
	metrics  *metrics
	api      *api
	http     *telemetry.HTTPMetrics
	waiting  lifecycle.Waiting
	group    string // full name
}

// New listens, and connects to nobody yet: Kafka and Postgres may come later.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Service, error) {
	if err := errors.Join(cfg.Validate()...); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, log: log, group: cfg.Group(group), listener: cfg.Listener}
	err := s.open()
	if err != nil {
		s.close()
		return nil, err
	}
	s.metrics = newMetrics(reg)
	s.http = telemetry.NewHTTPMetrics(reg, "ledger")
	s.posting = posting.Config{
		Store: s.store, Letters: kafkaLetters{s.letters}, Journal: kafkaJournal{s.client, cfg.Topic(event.TopicGrants)},
		Observer: newObserver(s.metrics, cfg.Topic(event.TopicGrants), &s.waiting), Log: log,
	}
	s.api = &api{store: s.store, tokens: cfg.ReadTokens, anonymous: cfg.AllowAnonymous, log: log, page: csvPage}
	return s, nil
}

func (s *Service) open() (err error) {
	if s.listener == nil {
		if s.listener, err = lifecycle.Listen(s.cfg.ListenAddr); err != nil {
			return err
		}
	}
	if err = s.cfg.checkAnonymous(s.listener); err != nil {
		return err
	}
	if s.cfg.CertFile != "" {
		certificate, err := lifecycle.LoadCertificate(s.cfg.CertFile, s.cfg.KeyFile, s.log)
		if err != nil {
			return fmt.Errorf("TLS_CERT and TLS_KEY: %w", err)
		}
		s.listener = certificate.Listener(s.listener)
	}
	if s.client, err = broker.New(s.cfg.Config); err != nil {
		return err
	}
	if s.letters, err = producer.New(producer.Config{Client: s.client, Topic: s.cfg.Topic(event.TopicDeadLetters), Log: s.log}); err != nil {
		return err
	}
	s.store, err = postgres.New(s.cfg.DatabaseURL)
	return err
}

func (s *Service) close() {
	if s.listener != nil {
		s.listener.Close()
	}
	if s.letters != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closing)
		defer cancel()
		if err := s.letters.Close(ctx); err != nil {
			s.log.Warn("stopping", "error", err.Error())
		}
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.store != nil {
		s.closeStore()
	}
}

// closeStore waits for a Postgres that is there and does not answer no longer than closing: saying goodbye to it takes up
// to 15 s, and nobody is waiting for that.
func (s *Service) closeStore() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.store.Close()
	}()
	select {
	case <-closed:
	case <-time.After(closing):
		s.log.Warn("stopping without a goodbye from Postgres")
	}
}

// Addr is the public address.
func (s *Service) Addr() net.Addr { return s.listener.Addr() }

// Ready is what the ledger waits for; empty when all is well.
func (s *Service) Ready() []string { return s.waiting.Ready() }

// Run works until ctx ends. A batch that is being written then is rolled back or committed, never half.
func (s *Service) Run(ctx context.Context) error {
	defer s.close()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return lifecycle.ServeHTTP(ctx, s.listener, s.api.handler(s.http), drain) })
	g.Go(func() error { return s.watch(ctx, "Postgres", s.store.Ping) })
	g.Go(func() error { return s.consume(ctx) })
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (s *Service) consume(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	journal := s.cfg.Topic(event.TopicGrants)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return s.watch(ctx, "Kafka", func(ctx context.Context) error {
			_, _, err := s.client.Bounds(ctx, journal, 0)
			return err
		})
	})
	g.Go(func() error { return s.follow(ctx, journal) })
	return g.Wait()
}

// follow consumes the journal until ctx ends. A Kafka that is there and does not answer is not waited for longer than
// leaving: the partitions are the others' after the session's time-out then. What is being written ends with ctx.
func (s *Service) follow(ctx context.Context, journal string) error {
	cfg := consumer.Config{Client: s.client, GroupID: s.group, Topic: journal, Log: s.log}
	done := make(chan error, 1)
	go func() { done <- consumer.Run(ctx, cfg, posting.New(s.posting)) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(leaving):
		s.log.Warn("stopping without having left the group")
		return ctx.Err()
	}
}

// prepare waits for everything that the ledger needs, side by side, so that Ready names all that is missing.
func (s *Service) prepare(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.wait(ctx, "the schema in Postgres", s.store.Migrate, always) })
	names := []string{s.cfg.Topic(event.TopicRequests), s.cfg.Topic(event.TopicGrants), s.cfg.Topic(event.TopicDeadLetters)}
	partitions := make([]int, len(names))
	for i, name := range names {
		g.Go(func() error {
			return s.wait(ctx, "topic "+name, func(ctx context.Context) (err error) {
				partitions[i], err = s.client.Partitions(ctx, name)
				return err
			}, broker.Retriable)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if partitions[0] != partitions[1] {
		return fmt.Errorf("topic %s has %d partitions and topic %s has %d: a journal record stands in the partition of its request",
			names[0], partitions[0], names[1], partitions[1])
	}
	return nil
}

// always tries again: an operator may create the database, or let the ledger in, while it waits.
func always(error) bool { return true }

// wait tries until it succeeds, or until trying again cannot help.
func (s *Service) wait(ctx context.Context, what string, try func(context.Context) error, retriable func(error) bool) error {
	defer s.waiting.For(what)()
	var retry broker.Backoff
	for {
		err := try(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !retriable(err):
			return fmt.Errorf("%s: %w", what, err)
		case retry.Tries()%10 == 0:
			s.log.Info("waiting", "for", what, "error", err.Error())
		}
		if err := retry.Wait(ctx); err != nil {
			return err
		}
	}
}

// watch keeps Ready true for a ledger that owns no partition, too: whoever it needs is asked each second.
func (s *Service) watch(ctx context.Context, who string, ask func(context.Context) error) error {
	var found func() // while there is no answer
	ticker := time.NewTicker(lookAround)
	defer ticker.Stop()
	for {
		err := within(ctx, askLimit, ask)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && found == nil:
			found = s.waiting.For(who)
			s.log.Warn("no answer", "from", who, "error", err.Error())
		case err == nil && found != nil:
			found()
			found = nil
			s.log.Info("answers again", "from", who)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func within(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return do(ctx)
}
