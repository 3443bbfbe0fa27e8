package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/firstcome/firstcome/pkg/producer"
)

// Config says what to consume.
type Config struct {
	GroupConfig
	Fetch FetchConfig
	// CommitEvery is how old the group's offset may get while records are
	// handled; default 1 s. What a crash leaves uncommitted is handled again
	// by a handler that starts from the group.
	CommitEvery time.Duration
	// DeadLetters takes the records that can't be read, and those that the
	// handler rejects; a record is passed over only after it is acknowledged
	// there. Without it unreadable records reach the handler, and a rejection
	// is an error like any other.
	DeadLetters *producer.Producer
}

// Run consumes a topic until ctx ends. Each record is handled at least once,
// in the order of its partition; duplicates in the journal (see Unseen) are
// dropped, the highest source is kept in the metadata of the group's offset.
//
// Where the offset to start from is not in the log any more nothing is
// skipped: the error is logged and tried again, until the handler starts
// elsewhere or somebody moves the group's offset.
func Run(ctx context.Context, cfg Config, h Handler) error {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return RunGroup(ctx, cfg.GroupConfig, func(ctx context.Context, a *Assignment) error {
		of := PartitionConfig{Partition: a.partition, CommitEvery: cfg.CommitEvery, Log: cfg.Log.With("topic", cfg.Topic)}
		if cfg.DeadLetters != nil { // an interface that holds a nil pointer is not nil
			of.DeadLetters = cfg.DeadLetters
		}
		fetcher := NewFetcher(cfg.Client, cfg.Topic, a.partition, cfg.Fetch)
		defer fetcher.Close()
		return RunPartition(ctx, of, owned{fetcher, a}, h)
	})
}

// owned is the Log of a partition while the group says that it is this
// process's.
type owned struct {
	*Fetcher
	*Assignment
}
