package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
)

const (
	lookEach = 400 * time.Millisecond // at progress: with the read it stays below the second that a missed message may cost
	askEach  = 2 * time.Second        // of the brokers
)

// heard takes a message of the outcomes channel. It wakes, and raises what counts as heard: everybody reads the answer
// for themselves, so that a message that was late, lost or made up may stop answers, and never changes one.
func (s *Service) heard(partition int32, o *redislayout.Outcomes) {
	if o == nil {
		s.metrics.messages.WithLabelValues("unreadable").Inc()
		return
	}
	s.metrics.messages.WithLabelValues("heard").Inc()
	s.progressed(partition, o.Last)
}

func (s *Service) progressed(partition int32, progress int64) {
	s.requests.Load().Hear(partition, progress)
	s.waiters.Wake(partition, progress)
}

// watchRedis looks, several times a second, at the progress of the partitions that somebody waits for, and at whether
// Redis answers at all.
func (s *Service) watchRedis(ctx context.Context) {
	s.redis.watch(ctx, lookEach, func(ctx context.Context) error {
		if err := s.lookAtRedis(ctx); err != nil || s.redis.Up() {
			return err
		}
		if l := s.requests.Load(); l != nil { // claims are taken again once this is done
			ctx, cancel := context.WithTimeout(ctx, askEach)
			defer cancel()
			return l.HearAll(ctx)
		}
		return nil
	})
}

func (s *Service) lookAtRedis(ctx context.Context) error {
	waitedFor := s.waiters.Partitions()
	if len(waitedFor) == 0 {
		return s.store.Ping(ctx)
	}
	progress, err := s.store.Progress(ctx, waitedFor)
	for i := range progress {
		s.progressed(waitedFor[i], progress[i].Offset)
	}
	return err
}

// watchKafka finds out that no broker answers before a person has to wait for it. It asks some broker, whichever; one
// partition that has no leader, or a leader that does not answer, shows in the age of the appends.
func (s *Service) watchKafka(ctx context.Context) {
	topic := s.cfg.Topic(event.TopicRequests)
	s.brokers.watch(ctx, askEach, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, askEach)
		defer cancel()
		for range 3 { // the first one that is asked may be the one that is down
			if _, err = s.kafka.Topic(ctx, topic); err == nil || errors.Is(err, broker.ErrNoTopic) {
				return nil
			}
		}
		return err
	})
}

// server is one that is looked at again and again.
type server struct {
	name  string
	s     *Service
	found func() // tells the list of what is waited for
	up    atomic.Bool
	slow  bool // the last look took too long
	looks atomic.Int64
	gauge prometheus.Gauge
}

func (s *Service) newServer(name string) *server {
	return &server{name: name, s: s, found: s.waiting.For(name), gauge: s.metrics.reachable.WithLabelValues(name)}
}

// Up tells whether the server answered when it was last looked at.
func (v *server) Up() bool { return v.up.Load() }

func (v *server) watch(ctx context.Context, each time.Duration, look func(context.Context) error) {
	tick := time.NewTicker(each)
	defer tick.Stop()
	for {
		err := look(ctx)
		v.looks.Add(1)
		if ctx.Err() != nil {
			return
		}
		v.note(err)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// note takes the result of a look. One look that took too long says little, since this process may itself have been slow;
// two in a row, or a server that refuses, mean that people would wait in vain.
func (v *server) note(err error) {
	up, before := err == nil, v.slow
	var late interface{ Timeout() bool }
	v.slow = errors.As(err, &late) && late.Timeout()
	if v.slow && !before {
		return
	}
	if v.up.Swap(up) == up {
		return
	}
	if up {
		v.found()
		v.gauge.Set(1)
		v.s.log.Info("reached a server", "server", v.name)
		return
	}
	v.found = v.s.waiting.For(v.name)
	v.gauge.Set(0)
	v.s.log.Warn("lost a server", "server", v.name, "error", err.Error())
}
