package issuer

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// timedStore and timedJournal measure the two calls that people wait for.
type timedStore struct {
	partition.Store
	seconds prometheus.Observer
}

func (s timedStore) Decide(ctx context.Context, batches ...*partition.Batch) []partition.Answer {
	began := time.Now()
	answers := s.Store.Decide(ctx, batches...)
	for range batches {
		s.seconds.Observe(time.Since(began).Seconds())
	}
	return answers
}

type timedJournal struct {
	partition.Journal
	seconds prometheus.Observer
}

func (j timedJournal) Emit(ctx context.Context, facts []fcfs.Fact) (partition.Emitted, error) {
	began := time.Now()
	emitted, err := j.Journal.Emit(ctx, facts)
	j.seconds.Observe(time.Since(began).Seconds())
	return emitted, err
}
