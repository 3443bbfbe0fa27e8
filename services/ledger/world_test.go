package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/token"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
	"github.com/firstcome/firstcome/services/ledger/posting/postingtest"
)

// world is a journal that grows as issuers would write it, and what Postgres must hold in the end.
type world struct {
	t        testing.TB
	servers  *coupontest.Servers
	url      string // of the ledger's database
	store    *postgres.Store
	client   *broker.Client
	producer *producer.Producer
	random   *rand.Rand
	requests string // full names
	grants   string
	logs     []*fcfs.Log
	offset   int64 // last one of every requests partition
	facts    [][]fcfs.Fact

	contradictions []int64 // journal offsets of what contradicts facts
}

func newWorld(t testing.TB, servers *coupontest.Servers, partitions int) *world {
	t.Helper()
	servers.CreateTopics(t, partitions)
	w := &world{t: t, servers: servers, url: migrated(t, servers), client: servers.Kafka(t), random: rand.New(rand.NewPCG(7, 7)),
		requests: servers.TopicPrefix + event.TopicRequests, grants: servers.TopicPrefix + event.TopicGrants}
	w.store = openStore(t, w.url)
	var err error
	if w.producer, err = producer.New(producer.Config{Client: w.client, Topic: w.grants}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		w.producer.Close(ctx)
	})
	for p := range partitions {
		w.logs = append(w.logs, fcfs.NewLog(int32(p)))
		w.facts = append(w.facts, nil)
	}
	return w
}

// grow asks for coupons so many times in each partition, and writes what comes of it into the journal: in runs that each
// begin at or below what is still missing, as late batches of former owners do.
func (w *world) grow(requests int) {
	w.t.Helper()
	for range requests {
		w.offset += 1 + w.random.Int64N(3)
		for p := range w.logs {
			w.ask(p)
		}
	}
	for p := range w.logs {
		w.emit(p)
	}
}

func (w *world) ask(p int) {
	at := fcfs.FromTime(noon) + fcfs.Millis(w.offset*60_000)
	coupon := fmt.Sprintf("c%d-%d", p, w.random.IntN(3))
	var f *fcfs.Fact
	if n := w.random.IntN(20); n == 0 || w.logs[p].Coupon(coupon) == nil {
		d := fcfs.Definition{CouponID: coupon, Limit: 1 + w.random.Int64N(40), Window: fcfs.WindowDaily, TimeZone: "Asia/Seoul", Rules: 1}
		if coupon[len(coupon)-1] == '0' {
			d.Window = fcfs.WindowNone
		}
		_, f = w.logs[p].Define(w.offset, at, d)
	} else {
		_, f = w.logs[p].Claim(w.offset, at, coupon, fmt.Sprintf("ü-%d", w.random.IntN(60)))
	}
	if f != nil {
		w.facts[p] = append(w.facts[p], *f)
	}
}

func (w *world) emit(p int) {
	all := w.facts[p]
	_, written := w.bounds(int32(p))
	missing := 0
	if written > 0 { // at least the facts of earlier calls are there
		missing = w.emitted(p)
	}
	for missing < len(all) {
		begin := missing - min(missing, w.random.IntN(6))
		end := min(len(all), missing+1+w.random.IntN(9))
		w.publish(p, all[begin:end]...)
		if w.random.IntN(4) == 0 { // a late batch, entirely old
			w.publish(p, all[:1+w.random.IntN(end)]...)
		}
		missing = end
	}
}

// emitted is how many facts of a partition are in the journal.
func (w *world) emitted(p int) int {
	highest := int64(-1)
	for _, r := range w.read(w.grants, int32(p)) {
		if s, ok := event.SourceOf(r); ok {
			highest = max(highest, s.Offset)
		}
	}
	n, _ := slices.BinarySearchFunc(w.facts[p], highest+1, func(f fcfs.Fact, offset int64) int { return int(f.Source.Offset - offset) })
	return n
}

func (w *world) publish(p int, facts ...fcfs.Fact) {
	w.t.Helper()
	messages := make([]event.Message, len(facts))
	for i, f := range facts {
		messages[i] = message(w.t, w.requests, f)
	}
	w.send(p, messages...)
}

func (w *world) send(p int, messages ...event.Message) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	if _, err := w.producer.PublishTo(ctx, int32(p), messages...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) bounds(p int32) (start, end int64) {
	w.t.Helper()
	var err error
	eventually(w.t, "Kafka answers", func() bool {
		start, end, err = w.client.Bounds(w.t.Context(), w.grants, p)
		return err == nil || !broker.Retriable(err)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return start, end
}

// read is all that a partition of a topic has.
func (w *world) read(topic string, p int32) (all []event.Record) {
	w.t.Helper()
	f := consumer.NewFetcher(w.client, topic, p, consumer.FetchConfig{MaxWait: 10 * time.Millisecond})
	defer f.Close()
	if _, err := f.ReadToEnd(w.t.Context(), 0, func(records []event.Record) error {
		all = append(all, records...)
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// letters are the reasons of the dead letters, each record once.
func (w *world) letters() map[string]string {
	reasons := map[string]string{}
	for _, r := range w.read(w.servers.TopicPrefix+event.TopicDeadLetters, 0) {
		of := map[string]string{}
		for _, h := range r.Headers {
			of[h.Key] = string(h.Value)
		}
		if of["fc_topic"] != w.grants {
			w.t.Errorf("a dead letter of %s", of["fc_topic"])
		}
		reasons[of["fc_partition"]+"/"+of["fc_offset"]] = of["fc_reason"]
	}
	return reasons
}

// start runs a ledger until the test ends or stop is called. change may replace its parts.
func (w *world) start(log *logs, change func(*Service)) (s *Service, stop func()) {
	w.t.Helper()
	var err error
	cfg := Config{Config: broker.Config{Brokers: w.servers.Brokers, TopicPrefix: w.servers.TopicPrefix}, DatabaseURL: w.url, ListenAddr: "127.0.0.1:0"}
	if cfg.ReadTokens, err = token.Parse("desk=" + secret); err != nil {
		w.t.Fatal(err)
	}
	if s, err = New(cfg, log.logger(), prometheus.NewRegistry()); err != nil {
		w.t.Fatal(err)
	}
	if change != nil {
		change(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = func() {
		cancel()
		select {
		case err, ok := <-done:
			if ok && err != nil {
				w.t.Errorf("stopped with %v", err)
			}
			if ok {
				close(done)
			}
		case <-time.After(time.Minute):
			w.t.Error("not stopped within a minute")
		}
	}
	w.t.Cleanup(stop)
	return s, stop
}

// eventually looks again and again until ok, and tells what was missing when it took too long.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(40 * time.Second)
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within 40 s: %s", what)
		}
	}
}

// caughtUp waits until Postgres is where the journal ends.
func (w *world) caughtUp() {
	w.t.Helper()
	for p := range w.logs {
		_, end := w.bounds(int32(p))
		eventually(w.t, fmt.Sprintf("partition %d is written up to %d", p, end), func() bool { return w.highest(p) })
	}
}

// highest tells whether the last fact is in.
func (w *world) highest(p int) bool {
	at, err := w.store.Place(w.t.Context(), int32(p))
	return err == nil && (len(w.facts[p]) == 0 || at.HighestSource >= w.facts[p][len(w.facts[p])-1].Source.Offset)
}

// exact compares Postgres with the model: every fact once, and the sums.
func (w *world) exact() {
	w.t.Helper()
	var want []event.CouponGranted
	for _, facts := range w.facts {
		for _, f := range facts {
			if f.Granted != nil {
				want = append(want, postingtest.Grant(w.requests, f))
			}
		}
	}
	var got []event.CouponGranted
	eventually(w.t, "Postgres answers", func() (ok bool) {
		var err error
		got, err = w.store.Grants(w.t.Context(), postgres.Filter{Limit: len(want) + 1})
		return err == nil
	})
	bySource := func(a, b event.CouponGranted) int {
		if a.Source.Partition != b.Source.Partition {
			return int(a.Source.Partition - b.Source.Partition)
		}
		return int(a.Source.Offset - b.Source.Offset)
	}
	slices.SortFunc(got, bySource)
	if !slices.Equal(got, want) {
		w.t.Errorf("Postgres has %d grants, the log led to %d, or they differ", len(got), len(want))
	}
	for _, log := range w.logs {
		for id, coupon := range log.Coupons() {
			w.exactCoupon(id, coupon)
		}
	}
}

func (w *world) exactCoupon(id string, coupon *fcfs.Coupon) {
	w.t.Helper()
	var have postgres.Coupon
	eventually(w.t, "Postgres answers", func() bool {
		var err error
		have, err = w.store.Coupon(w.t.Context(), id)
		return err == nil
	})
	var sum int64
	for _, window := range have.Windows {
		sum += window.Granted
	}
	if sum != coupon.Total() || len(have.Definitions) == 0 || have.Definitions[len(have.Definitions)-1].Limit != coupon.Current().Limit {
		w.t.Errorf("coupon %s: Postgres has %d granted and %d definitions, the log led to %d", id, sum, len(have.Definitions), coupon.Total())
	}
}
