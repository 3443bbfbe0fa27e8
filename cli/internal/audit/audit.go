// Package audit decides every request of the log once more, by the pure rules alone, and compares the journal, Redis,
// Postgres, the dead letters and what people were told with what the log leads to.
//
// It walks along the log of one partition after another with the journal and the rows of Postgres beside it, in the order
// of the requests, and holds the people in Redis against it at the end. In memory is who holds what in the partition at
// hand, as the rules need it: about 100 bytes a person whose window is not retired. Everything else is a page at a time. One
// partition is walked at once, as the largest one then says how much memory is needed, and not the sum of some.
//
// It may run while the pipeline works. What Redis had decided of a partition at one moment is what is compared, and what
// comes later is left out. What is not there yet is waited for, and what is read of Redis and Postgres is read together
// with how far they have come: so nothing that is rebuilt, restored or retired meanwhile is taken for a difference.
package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// Config says what is audited.
type Config struct {
	Kafka       broker.Config
	Redis       redis.UniversalClient
	RedisPrefix string
	Database    *pgxpool.Pool
	Coupons     []string      // only these; nil: all
	Answers     *Answers      // what people were told; nil: nothing is known
	Timeout     time.Duration // how long issuer or ledger may take, each time when they have to be waited for

	// Watch is told how many offsets of log and journal were read, of how many; nil: nobody watches.
	Watch func(read, all int64)
}

// UnknownCouponError means that nothing anywhere is about a coupon that was asked for.
type UnknownCouponError struct{ CouponID string }

func (e *UnknownCouponError) Error() string {
	return fmt.Sprintf("coupon %s is unknown: neither the log nor anything else has ever heard of it", e.CouponID)
}

var errNoTopics = errors.New("the topics are not there: `firstcome topics create` makes them")

// lookPause is the time between two looks at what has not caught up.
const lookPause = 100 * time.Millisecond

type auditor struct {
	Config
	client                 *broker.Client
	requests, grants, dead string // full topic names
	partitions             int
	read, all              int64 // offsets
}

// Run audits. An error means that something could not be read; differences are in the report.
func Run(ctx context.Context, cfg Config) (Report, error) {
	client, err := broker.New(cfg.Kafka)
	if err != nil {
		return Report{}, err
	}
	defer client.Close()
	return run(ctx, cfg, client, cfg.Kafka.Topic(event.TopicRequests), cfg.Kafka.Topic(event.TopicGrants), cfg.Kafka.Topic(event.TopicDeadLetters))
}

func run(ctx context.Context, cfg Config, client *broker.Client, requests, grants, dead string) (Report, error) {
	cfg.Coupons = slices.Compact(slices.Sorted(slices.Values(cfg.Coupons)))
	a := &auditor{Config: cfg, client: client, requests: requests, grants: grants, dead: dead}
	if err := a.topics(ctx); err != nil {
		return Report{}, err
	}
	ends, err := a.ends(ctx)
	if err != nil {
		return Report{}, err
	}
	var looks []*look
	for p, end := range ends {
		if !a.chosen(int32(p)) {
			continue
		}
		l, err := a.partition(ctx, int32(p), end)
		if err != nil {
			return Report{}, fmt.Errorf("partition %d: %w", p, err)
		}
		looks = append(looks, l)
	}
	return a.report(ctx, looks)
}

func (a *auditor) topics(ctx context.Context) error {
	requests, err := partitions(ctx, a.client, a.requests)
	if errors.Is(err, broker.ErrNoTopic) {
		return errNoTopics
	}
	if err != nil {
		return err
	}
	journal, err := partitions(ctx, a.client, a.grants)
	if errors.Is(err, broker.ErrNoTopic) {
		return errNoTopics
	}
	if err == nil && requests != journal {
		err = fmt.Errorf("topic %s has %d partitions and %s has %d: they must have as many", a.requests, requests, a.grants, journal)
	}
	a.partitions = requests
	return err
}

// ends are those of the log now: all that was asked until now is compared.
func (a *auditor) ends(ctx context.Context) ([]int64, error) {
	ends := make([]int64, a.partitions)
	for p := range ends {
		if !a.chosen(int32(p)) {
			continue
		}
		log, err := bounds(ctx, a.client, a.requests, int32(p))
		if err != nil {
			return nil, err
		}
		journal, err := bounds(ctx, a.client, a.grants, int32(p))
		if err != nil {
			return nil, err
		}
		ends[p] = log.end
		a.all += log.end - log.start + journal.end - journal.start
	}
	return ends, nil
}

// chosen says whether a partition has a coupon that is looked at.
func (a *auditor) chosen(p int32) bool {
	for _, id := range a.Coupons {
		if event.Partition(id, a.partitions) == p {
			return true
		}
	}
	return a.Coupons == nil
}

func (a *auditor) passed(offsets int64) {
	a.read = min(a.read+offsets, a.all) // what came since may be read too
	if a.Watch != nil {
		a.Watch(a.read, a.all)
	}
}

// partition looks once more where retention cut the log's start off under the reader, or the ledger's grants were archived.
func (a *auditor) partition(ctx context.Context, p int32, target int64) (*look, error) {
	for try := 1; ; try++ {
		l := newLook(a, p, target)
		err := l.do(ctx)
		var gone *consumer.OutOfRangeError
		if !errors.As(err, &gone) && !errors.Is(err, errArchived) || try == 3 {
			return l, err
		}
	}
}

// until asks again and again until it is so; false: it was not within the time-out.
func (a *auditor) until(ctx context.Context, so func() (bool, error)) (bool, error) {
	for late := time.Now().Add(a.Timeout); ; {
		if is, err := so(); is || err != nil {
			return is, err
		}
		if !time.Now().Before(late) {
			return false, nil
		}
		if err := pause(ctx, lookPause); err != nil {
			return false, err
		}
	}
}

// report adds what is compared across partitions.
func (a *auditor) report(ctx context.Context, looks []*look) (Report, error) {
	r := Report{Coupons: a.Coupons, Found: map[string]int{}, Bounds: []Bound{}}
	all := findings{count: r.Found}
	for _, l := range looks {
		all.join(l.findings)
		r.Compared.add(l.compared)
		r.Bounds = append(r.Bounds, l.bound)
	}
	if err := a.compareDeadLetters(ctx, looks, &all, &r.Compared); err != nil {
		return r, fmt.Errorf("reading the dead letters: %w", err)
	}
	if err := a.compareSums(ctx, &all); err != nil {
		return r, fmt.Errorf("reading Postgres: %w", err)
	}
	if err := a.findStrays(ctx, &all); err != nil {
		return r, fmt.Errorf("reading Redis: %w", err)
	}
	all.sort()
	r.OK, r.Differences = len(all.kept) == 0, all.kept
	if r.Differences == nil {
		r.Differences = []Difference{}
	}
	for _, l := range looks {
		if len(l.unheard) > 0 && r.OK {
			return r, &UnknownCouponError{l.unheard[0]}
		}
	}
	return r, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
