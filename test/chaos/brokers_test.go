//go:build chaos

package chaos

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/test/process"
)

// Three brokers, each record on two of them before it counts: the one that leads the partition of the hot coupon is killed
// under load, and comes back while people ask or only afterwards. Each time another one leads. At last another broker is
// killed, while the journal wants all three: it refuses writes until that one is back.
func TestBrokers(t *testing.T) {
	w := newWorld(t, coupontest.StartCluster(t, 3))
	var results []result
	for n, c := range []struct {
		kind string
		away time.Duration
	}{
		{leaderBack, time.Second},
		{leaderAway, 0},
		{leaderBack, 3 * time.Second},
		{journalWantsAll, 15 * time.Second}, // that broker counts as a replica until its session ends, after 9 s
	} {
		r := round{
			Number: n + 1, Kind: c.kind, Moment: 2 * time.Second, Change: 3 * time.Second, Rises: n%2 == 0, HotShare: 0.5,
			Traffic: 10*time.Second + c.away,
		}
		got := w.brokerRound(r, c.away)
		t.Log(got)
		if !got.ok() {
			t.Errorf("%s: a promise was broken", got.Kind)
		}
		results = append(results, got)
	}
	w.publish(fmt.Sprintf("Three brokers, replication 3, min.insync.replicas 2, %.0f people a second", *rate), table(results))
}

const (
	leaderBack      = "leader killed, started again"
	leaderAway      = "leader killed, stays away"
	journalWantsAll = "a broker killed while the journal wants all three"
)

// brokerRound kills a broker and starts it again after a while, or (0) after the round.
func (w *world) brokerRound(r round, away time.Duration) result {
	w.t.Helper()
	var leader, victim int
	got := w.loudRound(r, func(began time.Time) (time.Time, time.Duration) {
		w.pause(began.Add(r.Moment))
		leader = w.leader(coupon("hot", r), 0)
		victim = leader
		if r.Kind == journalWantsAll {
			victim = leader%3 + 1
			w.journalWants("3")
		}
		struck := time.Now()
		w.servers.KillBroker(w.t, victim)
		if away == 0 {
			return struck, 0
		}
		w.pause(struck.Add(away))
		if r.Kind == journalWantsAll {
			w.waitsForJournal()
		}
		w.servers.RestartBroker(w.t, victim)
		return struck, time.Since(struck)
	})
	if away == 0 {
		if now := w.leader(coupon("hot", r), leader); now == leader {
			w.t.Errorf("broker %d leads, and is dead", now)
		}
		w.servers.RestartBroker(w.t, victim)
	}
	return got
}

// journalWants says on how many replicas a record of the journal must be.
func (w *world) journalWants(replicas string) {
	w.t.Helper()
	w.insist("min.insync.replicas of the journal cannot be set", func(ctx context.Context) error {
		res, err := w.kafka.Kafka().IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
			Resources: []kafka.IncrementalAlterConfigsRequestResource{{
				ResourceType: kafka.ResourceTypeTopic, ResourceName: w.kafka.Config().Topic(event.TopicGrants),
				Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "min.insync.replicas", Value: replicas, ConfigOperation: kafka.ConfigOperationSet}},
			}},
		})
		if err != nil {
			return err
		}
		return res.Resources[0].Error
	})
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
