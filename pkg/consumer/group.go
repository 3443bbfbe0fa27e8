package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/broker"
)

// ErrRejoin is returned by an owner that has reason to think it is none any
// more: the member joins the group again, which tells.
var ErrRejoin = errors.New("join the group again")

// partitionWatch is how long a partition that was added goes unnoticed.
const partitionWatch = 5 * time.Second

// GroupConfig says which group to join, for which topic.
type GroupConfig struct {
	Client  *broker.Client
	GroupID string // full name
	Topic   string // full name
	// Log gets what goes wrong and is tried again; nil means slog.Default().
	Log *slog.Logger
	// SessionTimeout is how long a member that has crashed keeps its
	// partitions; default and least 6 s, brokers refuse less.
	SessionTimeout time.Duration
	// Heartbeat is how often the group is asked whether it has changed;
	// default 500 ms. Handing over takes about that long.
	Heartbeat time.Duration
	// RebalanceTimeout is how long the others wait for a member that does not
	// let go of its partitions, before they go on without it; default 10 s.
	// No longer than SessionTimeout: heartbeats end when a rebalance begins. A
	// Handle that may take longer than 6 s needs both to be longer.
	RebalanceTimeout time.Duration
}

func (c *GroupConfig) defaults() error {
	if c.Client == nil || c.GroupID == "" || c.Topic == "" {
		return errors.New("consumer: a group needs a client, a group id and a topic")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.Log = c.Log.With("group", c.GroupID, "topic", c.Topic)
	c.SessionTimeout = max(c.SessionTimeout, 6*time.Second)
	if c.Heartbeat <= 0 {
		c.Heartbeat = 500 * time.Millisecond
	}
	if c.RebalanceTimeout <= 0 {
		c.RebalanceTimeout = 10 * time.Second
	}
	return nil
}

// RunGroup joins a group and calls run for each partition that this member
// owns, each in its own goroutine, until ctx ends; then it leaves the group.
// It waits for topics and brokers that are not there.
//
// run's context ends when the partition is taken away: run must return soon
// then, the others wait for it. Returning ErrRejoin makes the member join the
// group again, with all its partitions. After any other error run is called
// again, with growing waits, while the partition is owned; after nil it is
// not called again for this ownership.
//
// Two members may believe for a moment that they own the same partition.
func RunGroup(ctx context.Context, cfg GroupConfig, run func(ctx context.Context, a *Assignment) error) error {
	if err := cfg.defaults(); err != nil {
		return err
	}
	if err := waitForTopic(ctx, cfg); err != nil {
		return err
	}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID:                     cfg.GroupID,
		Brokers:                cfg.Client.Config().Brokers,
		Dialer:                 cfg.Client.Dialer(),
		Topics:                 []string{cfg.Topic},
		HeartbeatInterval:      cfg.Heartbeat,
		SessionTimeout:         cfg.SessionTimeout,
		RebalanceTimeout:       cfg.RebalanceTimeout,
		JoinGroupBackoff:       250 * time.Millisecond, // kafka-go's 5 s would delay the first join by 6 s
		WatchPartitionChanges:  true,
		PartitionWatchInterval: partitionWatch,
		Timeout:                5 * time.Second,
	})
	if err != nil {
		return fmt.Errorf("joining group %s: %w", cfg.GroupID, err)
	}
	defer group.Close() // leaves, once all goroutines have returned
	var leaving sync.WaitGroup
	defer leaving.Wait()
	var last *tenure
	joined := func() {}
	for {
		generation, err := group.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case last != nil && (errors.Is(err, kafka.UnknownMemberId) || errors.Is(err, kafka.IllegalGeneration)):
			last.stepDown(err)
			last = nil // the group has dropped that member: what fails from now on is told
		case err != nil:
			// Each try ends here, at most four a second: a coordinator that is
			// loading says [14], [15] or [16] for a while.
			cfg.Log.Warn("joining the group failed, trying again", "error", err)
			if last != nil && !errors.Is(err, kafka.RebalanceInProgress) { // which goes on as the same member
				gone := last
				until, cancel := context.WithCancel(ctx)
				leaving.Go(func() { gone.leave(until) })
				last, joined = nil, cancel
			}
		default:
			joined()
			last = own(ctx, cfg, generation, run)
		}
	}
}

func waitForTopic(ctx context.Context, cfg GroupConfig) error {
	var retry broker.Backoff
	for {
		_, err := cfg.Client.Partitions(ctx, cfg.Topic)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !broker.Retriable(err) {
			return err
		}
		if retry.Tries()%10 == 0 {
			cfg.Log.Info("waiting for the topic", "error", err)
		}
		if err := retry.Wait(ctx); err != nil {
			return err
		}
	}
}

// own starts the goroutines of one generation.
func own(ctx context.Context, cfg GroupConfig, g *kafka.Generation, run func(context.Context, *Assignment) error) *tenure {
	t := &tenure{client: cfg.Client, group: cfg.GroupID, memberID: g.MemberID, log: cfg.Log, session: cfg.SessionTimeout, seen: time.Now()}
	g.Start(func(ended context.Context) { t.watch(ended, cfg.Heartbeat) })
	partitions := g.Assignments[cfg.Topic]
	cfg.Log.Info("joined the group", "generation", g.ID, "partitions", len(partitions))
	for _, p := range partitions {
		a := &Assignment{topic: cfg.Topic, partition: int32(p.ID), generation: g.ID, tenure: t}
		g.Start(func(ended context.Context) {
			// The generation's context has nothing of ctx: join them.
			owned, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(ended, cancel)()
			keep(owned, cfg.Log.With("partition", p.ID), func(ctx context.Context) error {
				err := run(ctx, a)
				if ctx.Err() == nil && errors.Is(err, ErrRejoin) {
					t.stepDown(err)
				}
				return err
			})
		})
	}
	return t
}

// keep calls run until the partition is taken away or run wants to rejoin; its
// return ends the generation.
func keep(ctx context.Context, log *slog.Logger, run func(context.Context) error) {
	var retry broker.Backoff
	for ctx.Err() == nil {
		began := time.Now()
		err := run(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrRejoin):
			retry.Wait(ctx) // not a tight loop, if it comes back at once
			return
		case err == nil:
			<-ctx.Done()
			return
		}
		if time.Since(began) > 10*time.Second {
			retry.Reset()
		}
		log.Error("partition failed, running it again", "error", err)
		if retry.Wait(ctx) != nil {
			return
		}
	}
}

// Assignment is the ownership of one partition during one generation of the
// group.
type Assignment struct {
	topic      string
	partition  int32
	generation int32
	tenure     *tenure
}

// Partition is the number of the partition.
func (a *Assignment) Partition() int32 { return a.partition }

// StoodStill reports that this process stood still for longer than the session
// time-out, so that the partition is another's by now: what fails then fails
// for that, and is no news.
func (a *Assignment) StoodStill() bool { return a.tenure.stoodStill(time.Now()) }

// Committed is what the group has committed for the partition, by whomever;
// false where there is nothing.
func (a *Assignment) Committed(ctx context.Context) (broker.Offset, bool, error) {
	return a.tenure.client.Committed(ctx, a.tenure.group, a.topic, a.partition)
}

// Commit commits the next offset to be read, with a text of at most 4 KB. It
// tries once. broker.ErrFenced means that the group has moved on, or that it
// failed after this process StoodStill, which comes to the same.
func (a *Assignment) Commit(ctx context.Context, offset int64, metadata string) error {
	t := a.tenure
	err := t.client.Commit(ctx, broker.Commit{
		Group: t.group, Generation: a.generation, MemberID: t.memberID,
		Topic: a.topic, Partition: a.partition,
		Offset: broker.Offset{Offset: offset, Metadata: metadata},
	})
	if err != nil && a.StoodStill() && !errors.Is(err, broker.ErrFenced) {
		return fmt.Errorf("%w: %w", broker.ErrFenced, err)
	}
	return err
}
