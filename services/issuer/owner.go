package issuer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// partition owns one partition until ctx ends: the loop around a machine, with the real ports.
func (s *Service) partition(ctx context.Context, a *consumer.Assignment, partitions int) error {
	p := a.Partition()
	log := s.log.With("partition", p)
	fetch := consumer.NewFetcher(s.client, s.requests, p, consumer.FetchConfig{MaxRecords: 8000})
	defer fetch.Close()
	read := consumer.NewFetcher(s.client, s.grants, p, consumer.FetchConfig{MaxBytes: 4 << 20})
	defer read.Close()
	gauges := s.metrics.of(p)
	defer s.disown(p)
	l := &loop{
		machine: partition.New(partition.Config{
			Partition: p, MaxBatch: s.cfg.MaxBatch, MaxWaiting: s.cfg.MaxWaiting,
			Notice: func(n partition.Notice) { s.notice(log, a, n) },
		}),
		ports: partition.Ports{
			Requests: NewRequests(owned{fetch, a}, s.letters, partitions),
			Store:    timedStore{s.redis.Partition(p), s.metrics.decideSeconds},
			Journal:  timedJournal{NewJournal(s.requests, p, read, s.journal), s.metrics.emitSeconds},
		},
		now: time.Now, drain: s.cfg.Drain,
		hook:    func(point string) error { return s.cfg.Hook(point, p) },
		observe: s.metrics.result,
		report: func(status partition.Status) {
			gauges.set(status, time.Now())
			s.own(p, status)
		},
	}
	err := l.run(ctx)
	if errors.Is(err, partition.ErrRejoin) {
		s.metrics.recoveries.WithLabelValues(rejoin).Inc()
		return fmt.Errorf("%w: %w", consumer.ErrRejoin, err)
	}
	return err
}

// owned is a partition that the group has given to this process.
type owned struct {
	*consumer.Fetcher
	*consumer.Assignment
}

func (s *Service) own(p int32, status partition.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.owned[p]; (was.Stopped != "") != (status.Stopped != "") {
		s.owned[p] = status
		s.countStopped()
		return
	}
	s.owned[p] = status
}

func (s *Service) disown(p int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.owned, p)
	s.countStopped()
	s.metrics.forget(p)
}

func (s *Service) countStopped() {
	n := 0
	for _, status := range s.owned {
		if status.Stopped != "" {
			n++
		}
	}
	s.metrics.stopped.Set(float64(n))
}

// notice writes what happened to a partition into the log and the counts.
func (s *Service) notice(log *slog.Logger, a *consumer.Assignment, n partition.Notice) {
	switch n.Kind {
	case partition.Rebuilt:
		s.metrics.restored.Add(float64(n.Count))
		log.Info("rebuilt Redis from the journal", "facts", n.Count)
	case partition.PassedOver:
		s.metrics.unknown.Add(float64(n.Count))
		log.Warn("journal records of a type that this issuer does not know are passed over; is it older than another issuer?", "records", n.Count, "detail", n.Detail)
	case partition.Reemitted:
		s.metrics.reemitted.Add(float64(n.Count))
		log.Info("emitting what was decided before", "facts", n.Count)
	case partition.Moved:
		log.Warn("moved progress over requests that are no longer in the log: all of them were refused", "requests", n.Count)
	case partition.Stopped:
		log.Error("partition stopped", "lost", n.Detail)
	case partition.Resumed:
		log.Info("partition goes on: what was lost is there again")
	case partition.LetterFails:
		log.Warn("dead letters cannot be written, the partition waits", "error", text(n.Err))
	case partition.CommitFails:
		if errors.Is(n.Err, broker.ErrFenced) {
			return // the group tells of it
		}
		log.Warn("the group's offset could not be committed, trying again", "error", text(n.Err))
	default:
		s.metrics.recoveries.WithLabelValues(n.Kind).Inc()
		switch {
		case n.Err != nil && a.StoodStill(): // the call that was under way then
		case n.Err != nil:
			log.Warn("reading everything again", "why", n.Kind, "error", text(n.Err))
		default:
			log.Info("reading everything", "why", n.Kind)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
