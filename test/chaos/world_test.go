//go:build chaos

package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/test/process"
)

const partitions = 4

// world is a whole system: servers of its own and the services as processes.
type world struct {
	t       *testing.T
	servers *coupontest.Servers
	env     []string           // of all processes
	people  []string           // of the command: also where the gateways are
	doors   []*process.Process // the first gateways: those after them are where they were

	gateways, issuers, ledgers []*process.Process

	kafka   *broker.Client
	redis   *redis.Client
	witness *witness
	saved   []int64 // keys in each snapshot of Redis, so far
	strikes int     // faults at once, in this round
	started int     // processes, so far
}

// newWorld starts two of each service on servers that it may break.
func newWorld(t *testing.T, servers *coupontest.Servers) *world {
	t.Helper()
	if servers.Kind != "containers" {
		t.Fatalf("%s servers are not what is to be broken here: set %s=containers", servers.Kind, coupontest.EnvServers)
	}
	w := &world{t: t, servers: servers, env: process.Environment(servers), kafka: servers.Kafka(t), redis: servers.Redis(t)}
	w.keep("appendonly", "yes")
	process.CreateTopics(t, w.env, partitions)
	for range 2 {
		w.gateways = append(w.gateways, w.start("gateway"))
		w.issuers = append(w.issuers, w.start("issuer"))
		w.ledgers = append(w.ledgers, w.start("ledger"))
	}
	w.doors = slices.Clone(w.gateways)
	w.people = append(w.env[:len(w.env):len(w.env)], "GATEWAY_URL="+w.gateways[0].Public+","+w.gateways[1].Public)
	w.witness = newWitness(w.kafka, partitions)
	t.Cleanup(w.witness.close)
	w.ready()
	return w
}

// start starts a service, whose log is kept where -logs says.
func (w *world) start(name string) *process.Process {
	w.t.Helper()
	return w.logged(process.Start(w.t, name, w.env))
}

func (w *world) logged(p *process.Process) *process.Process {
	w.t.Helper()
	w.started++
	if path := filepath.Join(*logs, fmt.Sprintf("%03d-%s.log", w.started, p.Name)); *logs != "" {
		w.t.Cleanup(func() {
			if err := os.WriteFile(path, []byte(p.Text()), 0o644); err != nil {
				w.t.Error(err)
			}
		})
	}
	return p
}

// ready waits until every service says that it is, and every issuer and ledger has its share of the partitions: what owns
// nothing can be killed without being missed.
func (w *world) ready() {
	w.t.Helper()
	for _, group := range [][]*process.Process{w.gateways, w.issuers, w.ledgers} {
		for _, p := range group {
			p.WaitReady(w.t)
		}
	}
	w.share(w.issuers, "coupon_issuer_progress_offset")
	w.share(w.ledgers, "coupon_ledger_next_offset")
}

// share waits until each of a group shows a series of that metric for its share of the partitions.
func (w *world) share(group []*process.Process, metric string) {
	w.t.Helper()
	for _, p := range group {
		owned := 0
		process.Eventually(w.t, func() bool {
			_, body := process.Get(w.t, p.Admin+"/metrics", "")
			owned = strings.Count(body, "\n"+metric+"{")
			return owned >= partitions/len(group)
		}, func() string { return fmt.Sprintf("%s owns %d of %d partitions", p.Name, owned, partitions) })
	}
}

// keep tells Redis what to do with its disk, now and after the next start.
func (w *world) keep(pairs ...string) {
	w.t.Helper()
	ctx := w.t.Context()
	for i := 0; i < len(pairs); i += 2 {
		if err := w.redis.ConfigSet(ctx, pairs[i], pairs[i+1]).Err(); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.redis.ConfigRewrite(ctx).Err(); err != nil {
		w.t.Fatal(err)
	}
	process.Eventually(w.t, func() bool { // an append-only file is begun in the background
		return strings.Contains(w.redis.Info(ctx, "persistence").Val(), "aof_rewrite_in_progress:0")
	}, func() string { return "Redis does not get its append-only file" })
}

// disk is a number that Redis tells about its disk.
func (w *world) disk(field string) (n int64) {
	w.t.Helper()
	for line := range strings.Lines(w.redis.Info(w.t.Context(), "persistence").Val()) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			if _, err := fmt.Sscan(value, &n); err != nil {
				w.t.Fatal(err)
			}
			return n
		}
	}
	w.t.Fatalf("Redis does not tell its %s", field)
	return 0
}

// pause lets a part of a plan's time go by.
func (w *world) pause(until time.Time) {
	w.t.Helper()
	select {
	case <-time.After(time.Until(until)):
	case <-w.t.Context().Done():
		w.t.Fatal("the test is over")
	}
}

// grants are a coupon's in Postgres.
func (w *world) grants(couponID string) []grant {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, w.servers.DatabaseURL)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT source_partition, source_offset, coupon_id, user_id, "window", sequence FROM grants WHERE coupon_id = $1`, couponID)
	if err != nil {
		w.t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (g grant, err error) {
		var s fcfs.Source
		err = row.Scan(&s.Partition, &s.Offset, &g.couponID, &g.userID, &g.window, &g.sequence)
		g.source = s
		return g, err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// inPartition is a coupon id that belongs there.
func inPartition(p int32, name string) string {
	for i := 0; ; i++ {
		if id := fmt.Sprintf("%s-%d", name, i); event.Partition(id, partitions) == p {
			return id
		}
	}
}
