package ledger

import (
	"context"
	"fmt"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

// kafkaJournal is the journal as the brokers have it.
type kafkaJournal struct {
	client *broker.Client
	topic  string
}

// Check refuses to go on in a journal that is not the one that the place was reached in, or has lost records since:
// Postgres would silently become a mixture, or have a hole.
func (j kafkaJournal) Check(ctx context.Context, partition int32, p postgres.Place) error {
	start, end, err := j.client.Bounds(ctx, j.topic, partition)
	switch {
	case err != nil:
		return err
	case start > p.Next:
		return fmt.Errorf("partition %d of %s has lost its records from offset %d to %d: they were never written to Postgres, and are kept for ever in a journal that is whole; "+
			"put the topic's records back, or set next_offset in ledger_offsets to %d to do without them", partition, j.topic, p.Next, start-1, start)
	case end < p.Next:
		return fmt.Errorf("partition %d of %s ends at offset %d, but Postgres has records up to %d: this is another journal, or one that lost its end; "+
			"put the journal back, or give it an empty database", partition, j.topic, end, p.Next-1)
	case p.Last == nil || p.Last.Offset < start:
		return nil
	}
	return j.compare(ctx, partition, *p.Last)
}

func (j kafkaJournal) compare(ctx context.Context, partition int32, last postgres.Mark) error {
	f := consumer.NewFetcher(j.client, j.topic, partition, consumer.FetchConfig{MaxBytes: 64 << 10, MaxRecords: 1})
	defer f.Close()
	got, err := f.Fetch(ctx, last.Offset)
	if err != nil {
		return err
	}
	if len(got.Records) > 0 && got.Records[0].Offset == last.Offset && got.Records[0].Time.Equal(last.Time) {
		return nil
	}
	return fmt.Errorf("the record at offset %d of partition %d of %s is not the one that was written to Postgres: this is another journal; "+
		"put the journal back, or give it an empty database", last.Offset, partition, j.topic)
}

// kafkaLetters are the dead letters' topic.
type kafkaLetters struct{ producer *producer.Producer }

func (l kafkaLetters) Publish(ctx context.Context, letters []event.Message) error {
	_, err := l.producer.PublishTo(ctx, 0, letters...)
	return err
}
