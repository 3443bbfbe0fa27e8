// Package audit decides every request of the log once more, by the pure rules alone, and compares the journal, Redis,
// Postgres, the dead letters and what people were told with what the log leads to.
//
// It may run while the pipeline works: each partition is compared at one progress of Redis, what comes later is left out,
// and a difference counts only if it is seen twice in a row.
package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/internal/redislayout"
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
	Answers     []crowd.Record // what people were told
	Timeout     time.Duration  // how long issuer and ledger may take to catch up with what is in the log now
}

// lookPause is the time between two looks at a partition that has not caught up.
const lookPause = 100 * time.Millisecond

type auditor struct {
	Config
	client     *broker.Client
	requests   string // full topic names
	journal    string
	dead       string
	partitions int
	deadline   time.Time
}

// Run audits. An error means that something could not be read; differences are in the report.
func Run(ctx context.Context, cfg Config) (Report, error) {
	client, err := broker.New(cfg.Kafka)
	if err != nil {
		return Report{}, err
	}
	defer client.Close()
	a := &auditor{
		Config: cfg, client: client, deadline: time.Now().Add(cfg.Timeout),
		requests: cfg.Kafka.Topic(event.TopicRequests), journal: cfg.Kafka.Topic(event.TopicGrants), dead: cfg.Kafka.Topic(event.TopicDeadLetters),
	}
	if err := a.topics(ctx); err != nil {
		return Report{}, err
	}
	looks, err := a.all(ctx)
	if err != nil {
		return Report{}, err
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
	journal, err := partitions(ctx, a.client, a.journal)
	if errors.Is(err, broker.ErrNoTopic) {
		return errNoTopics
	}
	if err == nil && requests != journal {
		err = fmt.Errorf("topic %s has %d partitions and %s has %d: they must have as many", a.requests, requests, a.journal, journal)
	}
	a.partitions = requests
	return err
}

// look is one partition, looked at once.
type look struct {
	differences []Difference
	waits       string // what has not caught up yet; "" = all has
	compared    Compared
	oracle      *oracle
	start       int64 // of the requests log
}

func (a *auditor) all(ctx context.Context) ([]look, error) {
	looks := make([]look, a.partitions)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for p := range a.partitions {
		g.Go(func() (err error) {
			looks[p], err = a.partition(ctx, int32(p))
			return err
		})
	}
	return looks, g.Wait()
}

// partition looks until all has caught up with the log's end of now and no difference is left, or the same differences
// are seen twice, or the time is over.
func (a *auditor) partition(ctx context.Context, p int32) (look, error) {
	has, err := bounds(ctx, a.client, a.requests, p)
	if err != nil {
		return look{}, err
	}
	target := has.end
	var before *look
	for {
		l, err := a.look(ctx, p, target)
		var gone *consumer.OutOfRangeError
		if moving := errors.Is(err, errMoving) || errors.As(err, &gone); moving && time.Now().Before(a.deadline) {
			l.waits = err.Error()
		} else if err != nil {
			return look{}, fmt.Errorf("partition %d: %w", p, err)
		}
		done, enough := l.conclude(before, !time.Now().Before(a.deadline))
		if enough {
			if done.waits != "" {
				done.differences = append(done.differences, inPartition(placeLog, p, "after %s %s", a.Timeout, done.waits))
			}
			return done, nil
		}
		before = nil
		if l.waits == "" {
			before = &l
		}
		if err := pause(ctx, lookPause); err != nil {
			return look{}, err
		}
	}
}

// conclude says whether this look settles it: nothing is to be waited for and nothing differs, or the look before differed
// in the same way, or it is late. A window that is dropped while it is read, say, differs once.
func (l look) conclude(before *look, late bool) (look, bool) {
	if l.waits == "" && len(l.differences) > 0 && before != nil {
		l.differences = both(before.differences, l.differences)
		return l, late || len(l.differences) > 0
	}
	return l, late || l.waits == "" && len(l.differences) == 0
}

// both are the differences that were seen in two looks.
func both(first, second []Difference) []Difference {
	return slices.DeleteFunc(slices.Clone(second), func(d Difference) bool { return !slices.Contains(first, d) })
}

// look reads in the order in which effects happen backwards: what Redis has decided is in the log already, and what it
// has decided and no longer keeps for emission is in the journal.
func (a *auditor) look(ctx context.Context, p int32, target int64) (look, error) {
	keys := redislayout.New(a.RedisPrefix, p)
	ids, err := a.Redis.ZRange(ctx, keys.Coupons(), 0, -1).Result()
	if err != nil {
		return look{}, fmt.Errorf("reading Redis: %w", err)
	}
	state, err := readState(ctx, a.Redis, keys, ids)
	if err != nil {
		return look{}, fmt.Errorf("reading Redis: %w", err)
	}
	if state.progress == nil {
		return a.noProgress(ctx, p, target)
	}
	if state.progress.Offset < target-1 && time.Now().Before(a.deadline) {
		return look{waits: fmt.Sprintf("the issuer has decided up to offset %d, and the log goes up to %d", state.progress.Offset, target-1)}, nil
	}
	journal, err := readJournal(ctx, a.client, a.journal, p)
	if err != nil {
		return look{}, err
	}
	l, err := a.decide(ctx, p, journal, state.progress.Offset)
	if err != nil {
		return look{}, err
	}
	if state.progress.Offset < target-1 {
		l.waits = fmt.Sprintf("the issuer has decided up to offset %d, and the log goes up to %d", state.progress.Offset, target-1)
	}
	return l, a.compare(ctx, &l, journal, state)
}

// noProgress is right for a partition that nobody has asked of yet; else Redis is to be rebuilt first.
func (a *auditor) noProgress(ctx context.Context, p int32, target int64) (look, error) {
	if target == 0 {
		journal, err := readJournal(ctx, a.client, a.journal, p)
		if err != nil {
			return look{}, err
		}
		l, err := a.decide(ctx, p, journal, -1)
		if err != nil {
			return look{}, err
		}
		return l, a.compare(ctx, &l, journal, redisState{progress: &redislayout.Progress{Offset: -1}})
	}
	return look{waits: fmt.Sprintf("Redis has no progress, and the log goes up to offset %d", target-1), oracle: newOracle(p, a.partitions)}, nil
}

// decide reads the log up to an offset and decides it.
func (a *auditor) decide(ctx context.Context, p int32, journal journalState, upTo int64) (look, error) {
	has, err := bounds(ctx, a.client, a.requests, p)
	if err != nil {
		return look{}, err
	}
	start, end := has.start, has.end
	o := newOracle(p, a.partitions)
	l := look{oracle: o, start: start, compared: Compared{Partitions: 1}}
	if start > 0 {
		l.compared.Truncated = 1
		l.differences = o.seed(journal.facts, start)
	}
	if upTo >= end {
		l.differences = append(l.differences, inPartition(placeRedis, p, "progress is at offset %d, and the log ends at %d: this is another log", upTo, end))
	}
	err = read(ctx, a.client, a.requests, p, start, min(upTo+1, end), o.take)
	l.compared.Requests = o.records
	return l, err
}

func (a *auditor) compare(ctx context.Context, l *look, journal journalState, state redisState) error {
	upTo := state.progress.Offset
	var err error
	if state.people, err = readPeopleOf(ctx, a.Redis, redislayout.New(a.RedisPrefix, l.oracle.partition), state.windows(windowsOf(l.oracle))); err != nil {
		return fmt.Errorf("reading Redis: %w", err)
	}
	ledger, err := readLedger(ctx, a.Database, l.oracle.partition, upTo)
	if err != nil {
		return fmt.Errorf("reading Postgres: %w", err)
	}
	l.compare(a.requests, journal, state, ledger)
	l.count(journal, state, ledger)
	return nil
}

// compare holds everything that was read of a partition against what its log leads to.
func (l *look) compare(requestsTopic string, journal journalState, state redisState, ledger ledgerState) {
	o, upTo := l.oracle, state.progress.Offset
	l.wait(unemitted(o, journal, state))
	if needed := journal.nextAfter(upTo); ledger.next < needed {
		l.wait(fmt.Sprintf("the ledger is at journal offset %d, and the journal goes up to %d", ledger.next, needed-1))
	}
	l.differences = append(l.differences, compareJournal(requestsTopic, o.facts, journal, upTo)...)
	l.differences = append(l.differences, compareOutbox(o.partition, state)...)
	l.differences = append(l.differences, compareRedis(o, state, l.start)...)
	l.differences = append(l.differences, compareLedger(requestsTopic, o.facts, journal, ledger)...)
}

func (l *look) wait(what string) {
	if l.waits == "" {
		l.waits = what
	}
}

func (l *look) count(journal journalState, state redisState, ledger ledgerState) {
	c := &l.compared
	for _, f := range l.oracle.facts {
		if f.Granted != nil {
			c.Grants++
		} else {
			c.Definitions++
		}
	}
	c.Journal, c.Duplicates = len(journal.records), journal.duplicates
	c.RedisCoupons, c.PostgresRows = len(state.coupons), len(ledger.facts)
	for _, people := range state.people {
		c.RedisPeople += len(people)
	}
}

// report adds what is compared across partitions.
func (a *auditor) report(ctx context.Context, looks []look) (Report, error) {
	var r Report
	all := make([]facts, len(looks))
	for p, l := range looks {
		r.Differences = append(r.Differences, l.differences...)
		r.Compared.add(l.compared)
		if l.oracle != nil {
			all[p] = l.oracle.facts
		}
	}
	letters, err := readDeadLetters(ctx, a.client, a.dead)
	if err != nil {
		return r, fmt.Errorf("reading the dead letters: %w", err)
	}
	r.Compared.DeadLetters = len(letters)
	r.Differences = append(r.Differences, compareDeadLetters(a.requests, looks, letters)...)
	sums, err := compareSums(ctx, a.Database)
	if err != nil {
		return r, fmt.Errorf("reading Postgres: %w", err)
	}
	r.Differences = append(r.Differences, sums...)
	strays, err := findStrays(ctx, a.Redis, a.RedisPrefix, a.partitions)
	if err != nil {
		return r, fmt.Errorf("reading Redis: %w", err)
	}
	r.Differences = append(r.Differences, strays...)
	r.Compared.Answers = len(a.Answers)
	r.Differences = append(r.Differences, compareAnswers(a.requests, all, a.Answers)...)
	r.sort()
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
