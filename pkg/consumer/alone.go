package consumer

import (
	"context"
	"sync"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
)

// runAlone calls run for every partition of the topic, each in its own
// goroutine, until ctx ends: as RunGroup does, without a group to share them.
func runAlone(ctx context.Context, cfg GroupConfig, run func(ctx context.Context, partition int32) error) error {
	cfg.Log = cfg.Log.With("topic", cfg.Topic)
	if err := waitForTopic(ctx, cfg); err != nil {
		return err
	}
	var owners sync.WaitGroup
	defer owners.Wait()
	look := time.NewTicker(partitionWatch)
	defer look.Stop()
	for owned := 0; ; {
		all, err := cfg.Client.Partitions(ctx, cfg.Topic)
		for ; err == nil && owned < all; owned++ {
			p := int32(owned)
			owners.Go(func() {
				log := cfg.Log.With("partition", p)
				for ctx.Err() == nil {
					keep(ctx, log, func(ctx context.Context) error { return run(ctx, p) })
				}
			})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

// nobody's group has no offset.
type nobody struct{}

func (nobody) Committed(context.Context) (broker.Offset, bool, error) {
	return broker.Offset{}, false, ErrNoGroup
}

func (nobody) Commit(context.Context, int64, string) error { return nil }
