package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// Config says what to consume, and what to do when that fails. Only Client is
// needed; the zero value of all else is safe: nothing is lost or passed over.
type Config struct {
	Client *broker.Client
	// Topic is the full name; default: the journal, with the client's prefix.
	Topic string
	// GroupID is the full name of the group that shares the partitions among
	// its members, and keeps the offsets. Without one this process reads every
	// partition, from where the handler says, and nothing is committed.
	GroupID string
	// Log gets what goes wrong and is tried again; nil means slog.Default().
	Log   *slog.Logger
	Fetch FetchConfig
	// CommitEvery is how old the group's offset may get between two calls of
	// Handle; default 1 s. What a crash leaves uncommitted is handled again by a
	// handler that starts from the group. A Handle that takes longer than that
	// should return in between, as Each does: see RecordError.
	CommitEvery time.Duration

	// SessionTimeout, Heartbeat and RebalanceTimeout are those of GroupConfig.
	SessionTimeout, Heartbeat, RebalanceTimeout time.Duration

	// DeadLetters takes the records that can't be read, and those that the
	// handler rejects; a record is passed over only after it is acknowledged
	// there. Without it unreadable records reach the handler, and a rejection
	// is an error like any other. Its topic is the downstream's own, with one
	// partition.
	DeadLetters *producer.Producer
	// Retry is what to do when the handler fails; by default it is called again
	// for ever.
	Retry Retry
	// Healthy, if set, is asked when the handler has failed: an error means that
	// it was not for the records, but for the sink. The partition pauses then,
	// as after ErrUnhealthy, until Healthy says nil. It may be called for many
	// partitions side by side.
	Healthy func(ctx context.Context) error
	// Observe, if set, is told how each partition is doing, from its only
	// goroutine: it must be quick.
	Observe func(Stats)
}

// check reports everything that is wrong in one error, and fills in what was
// left out.
func (c *Config) check(h Handler) error {
	problems := c.Retry.problems(c.DeadLetters != nil)
	if c.Client == nil {
		problems = append(problems, errors.New("no Client"))
	} else {
		problems = append(problems, c.topicProblems(c.Client.Config())...)
	}
	if h == nil {
		problems = append(problems, errors.New("no handler"))
	}
	if each, ok := h.(Each); ok && c.GroupID == "" && each.Start.at == fromGroup {
		problems = append(problems, fmt.Errorf("Each.Start: %w", ErrNoGroup))
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if len(problems) > 0 {
		return fmt.Errorf("consumer.Config: %w", errors.Join(problems...))
	}
	return nil
}

// topicProblems keeps dead letters out of topics whose readers would stumble
// over them: the requests log is where a producer publishes by default.
func (c *Config) topicProblems(of broker.Config) []error {
	journal, requests := of.Topic(event.TopicGrants), of.Topic(event.TopicRequests)
	if c.Topic == "" {
		c.Topic = journal
	}
	if c.DeadLetters == nil {
		return nil
	}
	if topic := c.DeadLetters.Topic(); topic == c.Topic || topic == journal || topic == requests {
		return []error{fmt.Errorf("DeadLetters: topic %s is not for them; give their producer a topic of its own", topic)}
	}
	return nil
}

func (c *Config) group() GroupConfig {
	return GroupConfig{
		Client: c.Client, GroupID: c.GroupID, Topic: c.Topic, Log: c.Log,
		SessionTimeout: c.SessionTimeout, Heartbeat: c.Heartbeat, RebalanceTimeout: c.RebalanceTimeout,
	}
}

func (c *Config) partition(number int32) PartitionConfig {
	of := PartitionConfig{
		Partition: number, CommitEvery: c.CommitEvery, Log: c.Log.With("topic", c.Topic),
		Retry: c.Retry, Healthy: c.Healthy, Observe: c.Observe,
	}
	if c.DeadLetters != nil { // an interface that holds a nil pointer is not nil
		of.DeadLetters = c.DeadLetters
	}
	return of
}
