//go:build chaos

package chaos

import (
	"fmt"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/test/process"
)

// fault makes something break; what it returns makes it well again, and is nil where that happens by itself.
type fault func(w *world, chance uint64) (mend func())

var faults = map[string]fault{
	"gateway killed":                 func(w *world, chance uint64) func() { return w.killOne(w.gateways, chance) },
	"issuer killed":                  func(w *world, chance uint64) func() { return w.killOne(w.issuers, chance) },
	"ledger killed":                  func(w *world, chance uint64) func() { return w.killOne(w.ledgers, chance) },
	"Kafka killed":                   func(w *world, _ uint64) func() { return w.killServer(coupontest.Kafka) },
	"Postgres killed":                func(w *world, _ uint64) func() { return w.killServer(coupontest.Postgres) },
	"Redis killed, with AOF":         func(w *world, _ uint64) func() { return w.killServer(coupontest.Redis) },
	"Redis killed, comes back empty": redisEmptied,
	"Redis from an old RDB":          redisRewound,
	"FLUSHALL under load":            flushed,
	"FLUSHALL without traffic":       flushed,
	"issuer stopped, then continued": func(w *world, chance uint64) func() { return w.stopOne(w.issuers, chance) },
	"ledger stopped, then continued": func(w *world, chance uint64) func() { return w.stopOne(w.ledgers, chance) },
	"issuer added":                   issuerAdded,
	"issuer removed":                 issuerRemoved,
	"journal refuses writes":         journalRefuses,
}

// killOne kills one of a group; the supervisor starts it again.
func (w *world) killOne(group []*process.Process, chance uint64) func() {
	i := int(chance % uint64(len(group)))
	group[i].Kill()
	return func() { group[i] = w.logged(group[i].Again(w.t)) }
}

// stopOne lets one of a group stand still, for longer than the group waits for it.
func (w *world) stopOne(group []*process.Process, chance uint64) func() {
	p := group[chance%uint64(len(group))]
	p.Signal(w.t, syscall.SIGSTOP)
	return func() { p.Signal(w.t, syscall.SIGCONT) }
}

func (w *world) killServer(n coupontest.Need) func() {
	w.servers.Kill(w.t, n)
	return func() { w.servers.Restart(w.t, n) }
}

func redisEmptied(w *world, _ uint64) func() {
	w.keep("appendonly", "no", "dbfilename", "none.rdb")
	return w.killedWithoutFile()
}

// redisRewound brings Redis back as it was: in the round before, or at the beginning of one up to four rounds ago. Each
// round saves one.
func redisRewound(w *world, chance uint64) func() {
	saved := min(w.saved, snapshots)
	w.keep("appendonly", "no", "dbfilename", snapshotName(w.saved-int(chance%uint64(saved))))
	return w.killedWithoutFile()
}

// killedWithoutFile kills a Redis whose append-only file is off, and begins a new one once it is back.
func (w *world) killedWithoutFile() func() {
	restart := w.killServer(coupontest.Redis)
	return func() {
		restart()
		w.keep("appendonly", "yes")
	}
}

// snapshots are how many are kept.
const snapshots = 5

func snapshotName(number int) string { return fmt.Sprintf("snapshot-%d.rdb", number%snapshots) }

// save keeps Redis as it is for a later round, or for this one.
func (w *world) save() {
	w.t.Helper()
	w.saved++
	w.keep("dbfilename", snapshotName(w.saved))
	if err := w.redis.Save(w.t.Context()).Err(); err != nil {
		w.t.Fatal(err)
	}
}

func flushed(w *world, _ uint64) func() {
	if err := w.redis.FlushAll(w.t.Context()).Err(); err != nil {
		w.t.Fatal(err)
	}
	return nil
}

// issuerAdded adds one under load; when it is settled the oldest goes, so that there are two again.
func issuerAdded(w *world, _ uint64) func() {
	w.issuers = append(w.issuers, w.start("issuer"))
	return func() {
		w.issuers[0].Term(w.t)
		w.issuers = w.issuers[1:]
	}
}

func issuerRemoved(w *world, chance uint64) func() {
	i := chance % uint64(len(w.issuers))
	w.issuers[i].Term(w.t)
	return func() { w.issuers[i] = w.start("issuer") }
}

// journalRefuses asks for two in-sync replicas of a journal that has one.
func journalRefuses(w *world, _ uint64) func() {
	w.journalNeeds("2")
	return func() { w.journalNeeds("1") }
}

func (w *world) journalNeeds(replicas string) {
	w.t.Helper()
	var last error
	process.Eventually(w.t, func() bool {
		res, err := w.kafka.Kafka().IncrementalAlterConfigs(w.t.Context(), &kafka.IncrementalAlterConfigsRequest{
			Resources: []kafka.IncrementalAlterConfigsRequestResource{{
				ResourceType: kafka.ResourceTypeTopic, ResourceName: w.kafka.Config().Topic(event.TopicGrants),
				Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "min.insync.replicas", Value: replicas, ConfigOperation: kafka.ConfigOperationSet}},
			}},
		})
		if last = err; err == nil {
			last = res.Resources[0].Error
		}
		return last == nil
	}, func() string { return fmt.Sprintf("min.insync.replicas of the journal cannot be set: %v", last) })
}

// A blow is a fault of a round that has struck, or is going to.
type blow struct {
	strike
	mend func()
}

// strikeAll lets all faults of a round strike at its moment, and mends each when its time is over. It returns when the
// first struck, and how long it took until the last was mended.
func (w *world) strikeAll(r round, began time.Time) (struck time.Time, down time.Duration) {
	w.t.Helper()
	w.pause(began.Add(r.Moment))
	struck = time.Now()
	var blows []blow
	for i, s := range r.Strikes {
		blows = append(blows, blow{s, faults[s.Name](w, r.Chance>>(8*i))})
	}
	for range blows {
		next := 0
		for i, b := range blows {
			if b.Lasts < blows[next].Lasts {
				next = i
			}
		}
		b := blows[next]
		blows = append(blows[:next], blows[next+1:]...)
		if b.mend != nil {
			w.pause(struck.Add(b.Lasts))
			b.mend()
		}
	}
	return struck, time.Since(struck)
}
