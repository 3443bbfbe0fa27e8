package coupontest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
)

// Settings of the topics: docs/design.md, "Topics and records".
var (
	requestsConfig = map[string]string{"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete", "retention.ms": "604800000"}
	grantsConfig   = map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
	lettersConfig  = map[string]string{"cleanup.policy": "delete", "retention.ms": "2592000000"}
)

// Kafka is a connection to the test's brokers with its topic prefix, closed when the test ends.
func (s *Servers) Kafka(t testing.TB) *broker.Client {
	t.Helper()
	if len(s.Brokers) == 0 {
		t.Fatalf("coupontest: %v", Kafka.missing())
	}
	client, err := s.broker()
	if err != nil {
		t.Fatalf("coupontest: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

func (s *Servers) broker() (*broker.Client, error) {
	return broker.New(broker.Config{Brokers: s.Brokers, TopicPrefix: s.TopicPrefix})
}

// CreateTopics makes coupon.requests and coupon.grants with so many partitions and coupon.dead-letters with one, all with
// the test's prefix, and returns when they can be used.
func (s *Servers) CreateTopics(t testing.TB, partitions int) {
	t.Helper()
	client := s.Kafka(t)
	specs := []broker.TopicSpec{
		{Name: s.TopicPrefix + event.TopicRequests, Partitions: partitions, Replication: 1, Config: requestsConfig},
		{Name: s.TopicPrefix + event.TopicGrants, Partitions: partitions, Replication: 1, Config: grantsConfig},
		{Name: s.TopicPrefix + event.TopicDeadLetters, Partitions: 1, Replication: 1, Config: lettersConfig},
	}
	must(t, "create the topics", func(ctx context.Context) error {
		if err := client.CreateTopics(ctx, specs); err != nil {
			return err
		}
		for _, spec := range specs {
			if err := awaitTopic(ctx, client, spec); err != nil {
				return err
			}
		}
		return nil
	})
}

// awaitTopic returns when every partition has a leader that answers: a broker knows a topic a moment after it made it.
func awaitTopic(ctx context.Context, client *broker.Client, spec broker.TopicSpec) error {
	var backoff broker.Backoff
	for partition := 0; partition < spec.Partitions; {
		_, _, err := client.Bounds(ctx, spec.Name, int32(partition))
		if err == nil {
			partition++
			continue
		}
		if !errors.Is(err, broker.ErrNoTopic) && !broker.Retriable(err) {
			return err
		}
		if backoff.Wait(ctx) != nil {
			return err
		}
	}
	return nil
}

// dropTopics deletes whatever has the test's prefix.
func (s *Servers) dropTopics(t testing.TB) {
	s.tidy(t, "delete the topics", func(ctx context.Context) error {
		client, err := s.broker()
		if err != nil {
			return err
		}
		defer client.Close()
		meta, err := client.Kafka().Metadata(ctx, &kafka.MetadataRequest{})
		if err != nil {
			return err
		}
		var names []string
		for _, topic := range meta.Topics {
			if strings.HasPrefix(topic.Name, s.TopicPrefix) {
				names = append(names, topic.Name)
			}
		}
		if len(names) == 0 {
			return nil
		}
		res, err := client.Kafka().DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: names})
		if err != nil {
			return err
		}
		var problems []error
		for _, err := range res.Errors {
			problems = append(problems, err)
		}
		return errors.Join(problems...)
	})
}
