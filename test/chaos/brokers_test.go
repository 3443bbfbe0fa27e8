//go:build chaos

package chaos

import (
	"fmt"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/test/process"
)

// Three brokers, each record on two of them before it counts: the one that leads the partition of the hot coupon is killed
// under load, and comes back while people ask or only afterwards. Each time another one leads.
func TestBrokers(t *testing.T) {
	w := newWorld(t, coupontest.StartCluster(t, 3))
	var results []result
	for n, c := range []struct {
		kind string
		away time.Duration
	}{
		{"leader killed, started again", time.Second},
		{"leader killed, stays away", 0},
		{"leader killed, started again", 3 * time.Second},
	} {
		r := round{Number: n + 1, Kind: c.kind, Moment: 2 * time.Second, Change: 3 * time.Second, Rises: n%2 == 0, HotShare: 0.5, Traffic: 10 * time.Second}
		leader := 0
		got := w.loudRound(r, func(began time.Time) (time.Time, time.Duration) {
			w.pause(began.Add(r.Moment))
			leader = w.leader(coupon("hot", r), 0)
			struck := time.Now()
			w.servers.KillBroker(t, leader)
			if c.away > 0 {
				w.pause(struck.Add(c.away))
				w.servers.RestartBroker(t, leader)
			}
			return struck, time.Since(struck)
		})
		if c.away == 0 {
			if now := w.leader(coupon("hot", r), leader); now == leader {
				t.Errorf("broker %d leads, and is dead", now)
			}
			w.servers.RestartBroker(t, leader)
		}
		t.Logf("broker %d led: %s", leader, got)
		if !got.ok() {
			t.Errorf("%s: a promise was broken", got.Kind)
		}
		results = append(results, got)
	}
	w.publish(fmt.Sprintf("Three brokers, replication 3, min.insync.replicas 2, %.0f people a second", *rate), table(results))
}

// leader is the broker that leads the partition of a coupon's requests: another than the one that was.
func (w *world) leader(coupon string, was int) (id int) {
	w.t.Helper()
	topic := w.kafka.Config().Topic(event.TopicRequests)
	process.Eventually(w.t, func() bool {
		meta, err := w.kafka.Kafka().Metadata(w.t.Context(), &kafka.MetadataRequest{Topics: []string{topic}})
		if err != nil {
			return false
		}
		for _, p := range meta.Topics[0].Partitions {
			if int32(p.ID) == event.Partition(coupon, partitions) && p.Leader.Host != "" {
				if len(p.Replicas) != 3 {
					w.t.Fatalf("partition %d has %d replicas", p.ID, len(p.Replicas))
				}
				id = p.Leader.ID
			}
		}
		return id != 0 && id != was
	}, func() string { return fmt.Sprintf("nobody but broker %d leads", was) })
	return id
}
