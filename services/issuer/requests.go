package issuer

import (
	"context"
	"errors"

	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// requests is a partition of the requests topic, and the group's offset in it.
type requests struct {
	log        consumer.Log
	letters    Publisher
	partitions int // of the topic
}

// NewRequests is the port of a partition.Machine to its partition of the requests topic, which has partitions of them, and
// to the dead letters' topic.
func NewRequests(log consumer.Log, letters Publisher, partitions int) partition.Requests {
	return &requests{log, letters, partitions}
}

func (r *requests) Committed(ctx context.Context) (partition.Committed, error) {
	c, ok, err := r.log.Committed(ctx)
	if err != nil || !ok {
		return partition.Committed{Offset: -1}, err
	}
	return partition.Committed{Offset: c.Offset, Metadata: c.Metadata}, nil
}

func (r *requests) Bounds(ctx context.Context) (start, end int64, err error) {
	return r.log.Bounds(ctx)
}

func (r *requests) Fetch(ctx context.Context, offset int64) (partition.Fetched, error) {
	f, err := r.log.Fetch(ctx, offset)
	var gone *consumer.OutOfRangeError
	switch {
	case errors.As(err, &gone):
		return partition.Fetched{}, &partition.RangeError{Asked: gone.Asked, Start: gone.Start, End: gone.End}
	case err != nil:
		return partition.Fetched{}, err
	}
	fetched := partition.Fetched{Requests: make([]partition.Request, len(f.Records)), End: f.End, Next: f.Next}
	for i, record := range f.Records {
		fetched.Requests[i] = partition.ReadRequest(record, r.partitions)
	}
	return fetched, nil
}

// DeadLetter writes them one after the other into the topic's only partition.
func (r *requests) DeadLetter(ctx context.Context, refused []partition.Request) error {
	messages := make([]event.Message, len(refused))
	for i, q := range refused {
		messages[i] = event.DeadLetter(q.Refused.Record, q.Refused.Reason, q.Refused.Detail)
	}
	_, err := r.letters.PublishTo(ctx, 0, messages...)
	return err
}

func (r *requests) Commit(ctx context.Context, offset int64, metadata string) error {
	return r.log.Commit(ctx, offset, metadata)
}
