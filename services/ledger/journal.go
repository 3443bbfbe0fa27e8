package ledger

import (
	"context"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// kafkaJournal is the journal as the brokers have it.
type kafkaJournal struct {
	client *broker.Client
	topic  string
}

func (j kafkaJournal) Bounds(ctx context.Context, partition int32) (start, end int64, err error) {
	return j.client.Bounds(ctx, j.topic, partition)
}

func (j kafkaJournal) Record(ctx context.Context, partition int32, offset int64) (event.Record, bool, error) {
	f := consumer.NewFetcher(j.client, j.topic, partition, consumer.FetchConfig{MaxBytes: 64 << 10, MaxRecords: 1})
	defer f.Close()
	got, err := f.Fetch(ctx, offset)
	if err != nil || len(got.Records) == 0 || got.Records[0].Offset != offset {
		return event.Record{}, false, err
	}
	return got.Records[0], true, nil
}

// kafkaLetters are the dead letters' topic.
type kafkaLetters struct{ producer *producer.Producer }

func (l kafkaLetters) Publish(ctx context.Context, letters []event.Message) error {
	_, err := l.producer.PublishTo(ctx, 0, letters...)
	return err
}
