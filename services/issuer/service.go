// Package issuer decides the requests log: one loop for each partition that the group gives to it, Redis for the state,
// the journal for what came of it. See docs/design.md, "The issuer".
package issuer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/lifecycle"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
	"github.com/firstcome/firstcome/services/issuer/internal/redisstore"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

const (
	group       = "firstcome.issuer"
	drain       = 3 * time.Second
	closing     = 2 * time.Second // for records under way, when stopping
	letterTries = 5 * time.Second // before a dead letter that is refused is told of
)

// Service is an issuer. Any number of them share the partitions.
type Service struct {
	cfg      Config
	log      *slog.Logger
	client   *broker.Client
	redis    *redisstore.Client
	journal  *producer.Producer
	letters  *producer.Producer
	metrics  *metrics
	waiting  lifecycle.Waiting
	requests string // full names
	grants   string
	dead     string

	mu    sync.Mutex
	owned map[int32]partition.Status
}

// New connects to nobody yet: Kafka and Redis may come later.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Service, error) {
	if err := errors.Join(cfg.Validate()...); err != nil {
		return nil, err
	}
	if cfg.Drain <= 0 {
		cfg.Drain = drain
	}
	if cfg.Hook == nil {
		cfg.Hook = func(string, int32) error { return nil }
	}
	s := &Service{
		cfg: cfg, log: log, owned: map[int32]partition.Status{},
		requests: cfg.Topic(event.TopicRequests), grants: cfg.Topic(event.TopicGrants), dead: cfg.Topic(event.TopicDeadLetters),
	}
	var err error
	if s.client, err = broker.New(cfg.Config); err != nil {
		return nil, err
	}
	if s.journal, err = producer.New(producer.Config{Client: s.client, Topic: s.grants, Log: s.log}); err != nil {
		return nil, err
	}
	if s.letters, err = producer.New(producer.Config{Client: s.client, Topic: s.dead, Timeout: letterTries, Log: s.log}); err != nil {
		return nil, err
	}
	s.redis = redisstore.Open(cfg.Redis)
	s.metrics = newMetrics(reg)
	return s, nil
}

// Run works until ctx ends. What was decided by then gets into the journal, or stays in Redis for the next owner.
func (s *Service) Run(ctx context.Context) error {
	defer s.close()
	partitions, err := s.servers(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	err = consumer.RunGroup(ctx, consumer.GroupConfig{
		Client: s.client, GroupID: s.cfg.Group(group), Topic: s.requests, Log: s.log,
	}, func(ctx context.Context, a *consumer.Assignment) error { return s.partition(ctx, a, partitions) })
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Service) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	for _, p := range []*producer.Producer{s.journal, s.letters} {
		if err := p.Close(ctx); err != nil {
			s.log.Warn("stopping", "error", err.Error())
		}
	}
	s.client.Close()
	if err := s.redis.Close(); err != nil {
		s.log.Warn("stopping", "error", err.Error())
	}
}

// Ready is what the issuer waits for; empty when all its partitions decide.
func (s *Service) Ready() []string {
	waits := s.waiting.Ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, status := range s.owned {
		switch {
		case status.Stopped != "":
			waits = append(waits, fmt.Sprintf("partition %d: %s", p, status.Stopped))
		case status.Waits != "" && status.Err != nil:
			waits = append(waits, fmt.Sprintf("partition %d: %s (%v)", p, status.Waits, status.Err))
		case status.Waits != "":
			waits = append(waits, fmt.Sprintf("partition %d: %s", p, status.Waits))
		}
	}
	slices.Sort(waits)
	return waits
}

// servers waits for Redis and the topics, side by side so that Ready names all that is missing, and says what is wrong
// with them.
func (s *Service) servers(ctx context.Context) (partitions int, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return s.wait(ctx, "Redis", func(ctx context.Context) error { return s.redis.Check(ctx) }, func(err error) bool { return !errors.Is(err, redisstore.ErrEvicts) })
	})
	found := make([]broker.Topic, 3)
	for i, name := range []string{s.requests, s.grants, s.dead} {
		g.Go(func() error {
			return s.wait(ctx, "topic "+name, func(ctx context.Context) (err error) {
				found[i], err = s.client.Topic(ctx, name)
				return err
			}, broker.Retriable)
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return s.fit(found[0], found[1])
}

// wait tries until there is no error that another try could mend.
func (s *Service) wait(ctx context.Context, what string, try func(context.Context) error, again func(error) bool) error {
	err := try(ctx)
	if err == nil || !again(err) {
		return err
	}
	defer s.waiting.For(what)()
	s.log.Info("waiting", "for", what, "error", err.Error())
	var retry broker.Backoff
	for err != nil && again(err) {
		if err := retry.Wait(ctx); err != nil {
			return err
		}
		err = try(ctx)
	}
	return err
}

// fit says what is wrong with the topics.
func (s *Service) fit(requests, grants broker.Topic) (partitions int, err error) {
	var wrong []string
	if requests.Partitions != grants.Partitions {
		wrong = append(wrong, fmt.Sprintf("topic %s has %d partitions and %s has %d: they must have the same number, since a fact is in the partition of its request",
			s.requests, requests.Partitions, s.grants, grants.Partitions))
	}
	if requests.Partitions > fcfs.MaxPartitions {
		wrong = append(wrong, fmt.Sprintf("topic %s has %d partitions: a grant id has room for %d", s.requests, requests.Partitions, fcfs.MaxPartitions))
	}
	if !requests.LogAppendTime && !s.cfg.AllowCreateTime {
		wrong = append(wrong, fmt.Sprintf("topic %s has the clients' clocks (CreateTime): set message.timestamp.type=LogAppendTime, so that the broker's clock decides who came in time", s.requests))
	}
	if len(wrong) > 0 {
		return 0, errors.New(strings.Join(wrong, "; "))
	}
	return requests.Partitions, nil
}
