package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/broker"
)

// tenure is the ownership of partitions during one generation of the group.
type tenure struct {
	client   *broker.Client
	group    string
	memberID string
	log      *slog.Logger
	session  time.Duration // longer than that without a sign, and the group goes on without us
	told     sync.Once

	mu    sync.Mutex
	seen  time.Time     // when this process was last known to run
	still time.Duration // how long it stood still; 0: it did not
}

// stepDown tells that the group has gone on without this member: once, by
// whomever it is noticed first, an owner, the group, or our own clock.
func (t *tenure) stepDown(why error) {
	t.told.Do(func() { t.log.Warn("stepped down, joining the group again", "error", why) })
}

// leave tells the group that this tenure's member is gone, again and again
// until ctx ends, which is when we have joined as another. Kafka-go tells only
// while the connection holds that was lost, and the group would wait for the
// old member until its session ends: nobody would own its partitions. Once is
// not enough, since a coordinator that has just begun may forget it.
func (t *tenure) leave(ctx context.Context) {
	var retry broker.Backoff
	for ctx.Err() == nil {
		_, _ = t.client.Kafka().LeaveGroup(ctx, &kafka.LeaveGroupRequest{
			GroupID: t.group, Members: []kafka.LeaveGroupRequestMember{{ID: t.memberID}},
		})
		_ = retry.Wait(ctx)
	}
}

// watch returns, which ends the generation, when the process has stood still
// for too long (it was stopped, or got no processor): the group need not tell.
func (t *tenure) watch(ended context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ended.Done():
			return
		case <-tick.C:
			if t.stoodStill(time.Now()) {
				t.stepDown(fmt.Errorf("this process stood still for %v, and the group waits for %v", t.still.Round(time.Second), t.session))
				return
			}
		}
	}
}

// stoodStill tells whether the process stood still since the generation began.
// It knows before the watch does: who is first to run again, asks.
func (t *tenure) stoodStill(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if gap := now.Sub(t.seen); gap > t.session && t.still == 0 {
		t.still = gap
	}
	t.seen = now
	return t.still > 0
}
