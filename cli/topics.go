package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/cli/internal/topic"
)

const maxPartitions = 4096

func (a *app) topics() *cobra.Command {
	cmd := &cobra.Command{Use: "topics", Short: "Make the Kafka topics", Args: cobra.NoArgs}
	cmd.RunE = func(*cobra.Command, []string) error { return usagef("topics needs create") }
	cmd.AddCommand(a.topicsCreate())
	return cmd
}

func (a *app) topicsCreate() *cobra.Command {
	var partitions, replication int
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make coupon.requests, coupon.grants and coupon.dead-letters with the settings that the promises rest on",
		Long: `Make the three topics with the settings that the promises rest on: coupon.requests with the broker's append time, kept
for seven days; coupon.grants, kept for ever, with as many partitions; coupon.dead-letters, kept for thirty days. With
three replicas a record counts as written once two brokers have it.

A topic that exists is never changed; exit code 1 where one is not as it should be. The number of partitions cannot be
changed later.`,
		Example: `  firstcome topics create --kafka kafka-1:9092,kafka-2:9092
  KAFKA_BROKERS=kafka:9092 KAFKA_TOPIC_PREFIX=staging. firstcome topics create --partitions 24`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().IntVar(&partitions, "partitions", 12, "of coupon.requests and coupon.grants, at most 4096")
	cmd.Flags().IntVar(&replication, "replication", 0, "how many brokers keep each record (default: 3, or as many as there are)")
	a.endpointFlags(cmd, endpoint.KafkaBrokers)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if partitions < 1 || partitions > maxPartitions {
			return usagef("--partitions must be from 1 to %d", maxPartitions)
		}
		if replication < 0 {
			return usagef("--replication must be at least 1")
		}
		return a.createTopics(cmd, partitions, replication)
	}
	return cmd
}

func (a *app) createTopics(cmd *cobra.Command, partitions, replication int) error {
	client, err := a.kafka()
	if err != nil {
		return err
	}
	defer client.Close()
	if replication == 0 {
		if replication, err = topic.Replication(cmd.Context(), client); err != nil {
			return err
		}
	}
	outcomes, err := topic.Ensure(cmd.Context(), client, topic.Specs(client.Config(), partitions, replication))
	differs := false
	for _, o := range outcomes {
		fmt.Fprintln(a.Out, o)
		differs = differs || len(o.Differs) > 0
	}
	if err == nil && differs {
		err = errSaid
	}
	return err
}
