package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/segmentio/kafka-go"
)

// TopicSpec is a topic to be made; Name is the full name.
type TopicSpec struct {
	Name        string
	Partitions  int
	Replication int
	Config      map[string]string
}

// CreateTopics makes the topics that do not exist. One that exists is left as
// it is, and is an error only where its number of partitions differs. All
// problems are reported together.
func (c *Client) CreateTopics(ctx context.Context, specs []TopicSpec) error {
	req := &kafka.CreateTopicsRequest{}
	for _, spec := range specs {
		req.Topics = append(req.Topics, spec.kafka())
	}
	// Kafka-go would only say that it knows no broker.
	_, err := c.kafka.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{}})
	if err != nil {
		return fmt.Errorf("creating topics: %w", err)
	}
	res, err := c.kafka.CreateTopics(ctx, req)
	if err != nil {
		return fmt.Errorf("creating topics: %w", err)
	}
	var problems []error
	for _, spec := range specs {
		err := res.Errors[spec.Name]
		if errors.Is(err, kafka.TopicAlreadyExists) {
			err = c.agrees(ctx, spec)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("creating topic %s: %w", spec.Name, err))
		}
	}
	return errors.Join(problems...)
}

func (t TopicSpec) kafka() kafka.TopicConfig {
	config := kafka.TopicConfig{
		Topic:             t.Name,
		NumPartitions:     t.Partitions,
		ReplicationFactor: t.Replication,
	}
	for name, value := range t.Config {
		config.ConfigEntries = append(config.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
	}
	slices.SortFunc(config.ConfigEntries, func(a, b kafka.ConfigEntry) int {
		if a.ConfigName < b.ConfigName {
			return -1
		}
		return 1
	})
	return config
}

// agrees waits until the topic that the brokers say exists is seen in the
// metadata, and compares.
func (c *Client) agrees(ctx context.Context, spec TopicSpec) error {
	retry := Backoff{}
	for {
		have, err := c.Partitions(ctx, spec.Name)
		if err == nil && have != spec.Partitions {
			return fmt.Errorf("it exists with %d partitions, not %d", have, spec.Partitions)
		}
		if !errors.Is(err, ErrNoTopic) {
			return err
		}
		if retry.Wait(ctx) != nil || retry.Tries() > 20 {
			return err
		}
	}
}
