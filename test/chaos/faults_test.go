//go:build chaos

package chaos

import (
	"context"
	"errors"
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
	"Redis killed, with AOF":         redisKept,
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

// redisKept comes back with its append-only file.
func redisKept(w *world, _ uint64) func() {
	before := w.disk("aof_current_size")
	restart := w.killServer(coupontest.Redis)
	return func() {
		restart()
		if after := w.disk("aof_current_size"); after < before {
			w.t.Errorf("Redis had %d bytes on its disk, and comes back with %d", before, after)
		}
	}
}

func redisEmptied(w *world, _ uint64) func() {
	w.keep("appendonly", "no", "dbfilename", "none.rdb")
	return w.killedWithoutFile(0)
}

// redisRewound brings Redis back as it was at the beginning of this round, or of one of the four before. Each saves one.
func redisRewound(w *world, chance uint64) func() {
	number := len(w.saved) - int(chance%uint64(min(len(w.saved), snapshots)))
	w.keep("appendonly", "no", "dbfilename", snapshotName(number))
	return w.killedWithoutFile(w.saved[number-1])
}

// killedWithoutFile kills a Redis whose append-only file is off, and begins a new one once it is back. want is how many
// keys its snapshot has, of which some may have expired.
func (w *world) killedWithoutFile(want int64) func() {
	restart := w.killServer(coupontest.Redis)
	return func() {
		restart()
		if loaded := w.disk("rdb_last_load_keys_loaded"); loaded > want || loaded == 0 && want > 0 {
			w.t.Errorf("Redis comes back with %d keys of a snapshot of %d", loaded, want)
		}
		w.keep("appendonly", "yes")
	}
}

// snapshots are how many are kept.
const snapshots = 5

func snapshotName(number int) string { return fmt.Sprintf("snapshot-%d.rdb", number%snapshots) }

// save keeps Redis as it is for a later round, or for this one.
func (w *world) save() {
	w.t.Helper()
	w.saved = append(w.saved, w.redis.DBSize(w.t.Context()).Val())
	w.keep("dbfilename", snapshotName(len(w.saved)))
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

// end asks a process to end. Where Kafka is away at the same time it takes longer than the ten seconds of Term.
func (w *world) end(p *process.Process) {
	p.Signal(w.t, syscall.SIGTERM)
	select {
	case <-p.Exited():
	case <-time.After(giveUp):
		w.t.Errorf("%s still runs %v after SIGTERM", p.Name, giveUp)
		p.Kill()
	}
	if code := p.ExitCode(); code != 0 {
		w.t.Errorf("%s exits with %d after SIGTERM", p.Name, code)
	}
}

// issuerAdded adds one under load; when it is settled the oldest goes, so that there are two again.
func issuerAdded(w *world, _ uint64) func() {
	w.issuers = append(w.issuers, w.start("issuer"))
	return func() {
		w.end(w.issuers[0])
		w.issuers = w.issuers[1:]
	}
}

func issuerRemoved(w *world, chance uint64) func() {
	i := chance % uint64(len(w.issuers))
	w.end(w.issuers[i])
	return func() { w.issuers[i] = w.start("issuer") }
}

// journalRefuses takes the right to write into the journal away. (A min.insync.replicas above what there is would refuse
// nothing: Kafka counts at most as many as a partition has replicas. On three brokers TestBrokers does it so.)
func journalRefuses(w *world, _ uint64) func() {
	all := kafka.ACLEntry{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: w.kafka.Config().Topic(event.TopicGrants), ResourcePatternType: kafka.PatternTypeLiteral,
		Principal: "User:*", Host: "*", Operation: kafka.ACLOperationTypeAll, PermissionType: kafka.ACLPermissionTypeAllow,
	}
	writing := all
	writing.Operation, writing.PermissionType = kafka.ACLOperationTypeWrite, kafka.ACLPermissionTypeDeny
	w.insist("the right to write into the journal cannot be taken away", func(ctx context.Context) error {
		res, err := w.kafka.Kafka().CreateACLs(ctx, &kafka.CreateACLsRequest{ACLs: []kafka.ACLEntry{all, writing}})
		if err != nil {
			return err
		}
		return errors.Join(res.Errors...)
	})
	return func() {
		if w.strikes == 1 {
			w.waitsForJournal()
		}
		w.insist("the right to write into the journal cannot be given back", func(ctx context.Context) error {
			res, err := w.kafka.Kafka().DeleteACLs(ctx, &kafka.DeleteACLsRequest{Filters: []kafka.DeleteACLsFilter{{
				ResourceTypeFilter: all.ResourceType, ResourceNameFilter: all.ResourceName, ResourcePatternTypeFilter: all.ResourcePatternType,
				Operation: kafka.ACLOperationTypeAny, PermissionType: kafka.ACLPermissionTypeAny,
			}}})
			if err != nil {
				return err
			}
			return res.Results[0].Error
		})
	}
}

// waitsForJournal sees that something was decided and is not in the journal: it does refuse.
func (w *world) waitsForJournal() {
	w.t.Helper()
	process.Eventually(w.t, func() bool {
		waiting := 0.0
		for _, p := range w.issuers {
			waiting += max(0, p.Metric(w.t, "coupon_issuer_outbox_facts"))
		}
		return waiting > 0
	}, func() string { return "nothing waits for a journal that refuses writes" })
}

// insist tries until Kafka takes an order: it may be another fault's victim.
func (w *world) insist(otherwise string, order func(context.Context) error) {
	w.t.Helper()
	var last error
	process.Eventually(w.t, func() bool {
		last = order(w.t.Context())
		return last == nil
	}, func() string { return fmt.Sprintf("%s: %v", otherwise, last) })
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
	w.strikes = len(r.Strikes)
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
