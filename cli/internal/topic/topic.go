// Package topic makes the three topics with the settings that the promises rest on, and says where one differs.
package topic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
)

const day = 24 * time.Hour

// Specs are the topics of one installation. With replication of three or more, a record counts as written once two have
// it, so that losing any one broker loses nothing.
func Specs(cfg broker.Config, partitions, replication int) []broker.TopicSpec {
	durable := func(config map[string]string) map[string]string {
		config["cleanup.policy"] = "delete"
		config["min.insync.replicas"] = "1"
		if replication >= 3 {
			config["min.insync.replicas"] = "2"
		}
		return config
	}
	return []broker.TopicSpec{
		{Name: cfg.Topic(event.TopicRequests), Partitions: partitions, Replication: replication, Config: durable(map[string]string{
			"message.timestamp.type": "LogAppendTime", "retention.ms": milliseconds(7 * day)})},
		{Name: cfg.Topic(event.TopicGrants), Partitions: partitions, Replication: replication, Config: durable(map[string]string{
			"retention.ms": "-1", "retention.bytes": "-1"})},
		{Name: cfg.Topic(event.TopicDeadLetters), Partitions: 1, Replication: replication, Config: durable(map[string]string{
			"retention.ms": milliseconds(30 * day)})},
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Replication is what the cluster can have, three at most.
func Replication(ctx context.Context, client *broker.Client) (int, error) {
	res, err := client.Kafka().Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return 0, fmt.Errorf("asking for the brokers: %w", err)
	}
	return max(1, min(3, len(res.Brokers))), nil
}

// Outcome is what became of one topic.
type Outcome struct {
	Topic   string
	Created bool
	Differs []string // how an existing one is not as it should be
}

func (o Outcome) String() string {
	switch {
	case o.Created:
		return o.Topic + ": created"
	case len(o.Differs) > 0:
		return o.Topic + ": exists, but " + strings.Join(o.Differs, ", ")
	}
	return o.Topic + ": exists, as it should be"
}

// Ensure makes what is missing and compares what exists; it never changes a topic that exists.
func Ensure(ctx context.Context, client *broker.Client, specs []broker.TopicSpec) ([]Outcome, error) {
	var outcomes []Outcome
	for _, spec := range specs {
		have, err := client.Partitions(ctx, spec.Name)
		switch {
		case err == nil:
			differs, err := differences(ctx, client, spec, have)
			if err != nil {
				return outcomes, err
			}
			outcomes = append(outcomes, Outcome{Topic: spec.Name, Differs: differs})
		case errors.Is(err, broker.ErrNoTopic):
			if err := client.CreateTopics(ctx, []broker.TopicSpec{spec}); err != nil {
				return outcomes, err
			}
			outcomes = append(outcomes, Outcome{Topic: spec.Name, Created: true})
		default:
			return outcomes, err
		}
	}
	return outcomes, nil
}

func differences(ctx context.Context, client *broker.Client, spec broker.TopicSpec, partitions int) ([]string, error) {
	var out []string
	if partitions != spec.Partitions {
		out = append(out, fmt.Sprintf("it has %d partitions, not %d", partitions, spec.Partitions))
	}
	have, err := settings(ctx, client, spec)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Config)) {
		if value, known := have[name]; known && value != spec.Config[name] {
			out = append(out, fmt.Sprintf("%s is %s, not %s", name, value, spec.Config[name]))
		}
	}
	return out, nil
}

func settings(ctx context.Context, client *broker.Client, spec broker.TopicSpec) (map[string]string, error) {
	res, err := client.Kafka().DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: spec.Name, ConfigNames: slices.Collect(maps.Keys(spec.Config)),
	}}})
	if err != nil {
		return nil, fmt.Errorf("reading the settings of topic %s: %w", spec.Name, err)
	}
	have := make(map[string]string)
	for _, r := range res.Resources {
		if r.Error != nil {
			return nil, fmt.Errorf("reading the settings of topic %s: %w", spec.Name, r.Error)
		}
		for _, e := range r.ConfigEntries {
			have[e.ConfigName] = e.ConfigValue
		}
	}
	return have, nil
}
