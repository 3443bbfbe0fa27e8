package consumer

import (
	"context"
	"errors"

	"github.com/firstcome/firstcome/pkg/broker"
)

// Run consumes a topic until ctx ends, and returns ctx's error. Each record is
// handled at least once, in the order of its partition; duplicates in the
// journal (see Unseen) are dropped, the highest source is kept in the metadata
// of the group's offset.
//
// Where the offset to start from is not in the log any more nothing is
// skipped: the error is logged and tried again, until the handler starts
// elsewhere or somebody moves the group's offset.
//
// By itself Run ends, after all partitions were revoked, with a *StopError
// where Config.Retry says Stop, and with ErrNoGroup; and, before it owns
// anything, where the brokers do not let it in. What is wrong with cfg it says
// at once.
func Run(ctx context.Context, cfg Config, h Handler) error {
	if err := cfg.check(h); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1) // why Run ends by itself
	consume := func(ctx context.Context, partition int32, group membership) error {
		fetcher := NewFetcher(cfg.Client, cfg.Topic, partition, cfg.Fetch)
		defer fetcher.Close()
		err := RunPartition(ctx, cfg.partition(partition), owned{fetcher, group}, h)
		var stop *StopError
		if errors.As(err, &stop) || errors.Is(err, ErrNoGroup) {
			select {
			case ended <- err:
			default: // another partition was first
			}
			cancel()
		}
		return err
	}
	var err error
	if cfg.GroupID == "" {
		err = runAlone(ctx, cfg.group(), func(ctx context.Context, p int32) error { return consume(ctx, p, nobody{}) })
	} else {
		err = RunGroup(ctx, cfg.group(), func(ctx context.Context, a *Assignment) error { return consume(ctx, a.partition, a) })
	}
	select {
	case why := <-ended:
		return why
	default:
		return err
	}
}

// membership keeps the offset of a partition.
type membership interface {
	Committed(ctx context.Context) (broker.Offset, bool, error)
	Commit(ctx context.Context, offset int64, metadata string) error
}

// owned is the Log of a partition while it is this process's.
type owned struct {
	*Fetcher
	membership
}
