package redisstore

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/redislayout"
)

const (
	// unread is how many messages may wait for the listener. What does not fit is dropped, as it is where the connection
	// breaks: a missed message costs a look at progress, never an answer.
	unread = 4096
	silent = time.Second // after so long without a word the connection is tried, and made anew
)

// Listen hands over the outcomes messages of the partitions 0..partitions-1 until ctx ends; nil stands for one that can't
// be read. It connects again by itself.
func (s *Store) Listen(ctx context.Context, partitions int, heard func(partition int32, o *redislayout.Outcomes)) {
	channels := make(map[string]int32, partitions)
	names := make([]string, partitions)
	for p := range partitions {
		names[p] = s.keys(int32(p)).Outcomes()
		channels[names[p]] = int32(p)
	}
	subscription := s.client.Subscribe(ctx, names...)
	defer subscription.Close()
	messages := subscription.Channel(redis.WithChannelSize(unread), redis.WithChannelSendTimeout(silent),
		redis.WithChannelHealthCheckInterval(silent))
	for {
		select {
		case <-ctx.Done():
			return
		case m, open := <-messages:
			if !open {
				return
			}
			p, ours := channels[m.Channel]
			if !ours {
				continue
			}
			if o, err := redislayout.DecodeOutcomes([]byte(m.Payload)); err == nil {
				heard(p, &o)
			} else {
				heard(p, nil)
			}
		}
	}
}
