package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
)

// double stands in for the issuer: it reads the requests topic, lets the dumb model decide, and writes what Redis has to
// hold. Like the real one it moves a partition's state by one atomic call and publishes afterwards.
type double struct {
	t      testing.TB
	redis  *redis.Client
	prefix string
	muted  atomic.Bool // decides, and publishes nothing

	mu   sync.Mutex // held while a batch is decided
	logs []*fcfs.Log
}

func startDouble(t testing.TB, servers *coupontest.Servers, partitions int) *double {
	t.Helper()
	d := &double{t: t, redis: servers.Redis(t), prefix: servers.RedisPrefix}
	client := servers.Kafka(t)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for p := range partitions {
		d.logs = append(d.logs, fcfs.NewLog(int32(p)))
		fetcher := consumer.NewFetcher(client, servers.TopicPrefix+event.TopicRequests, int32(p), consumer.FetchConfig{})
		running.Go(func() {
			defer fetcher.Close()
			for offset := int64(0); ctx.Err() == nil; {
				got, err := fetcher.Fetch(ctx, offset)
				if err != nil {
					continue // the test has taken the broker away, or is over
				}
				offset = got.Next
				d.decide(ctx, int32(p), got.Records)
			}
		})
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	return d
}

// Hold keeps d from deciding anything until the function that it returns is called.
func (d *double) Hold() (goOn func()) {
	d.mu.Lock()
	return sync.OnceFunc(d.mu.Unlock)
}

// Write makes Redis what the log has led to, as after a rebuild.
func (d *double) Write() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, log := range d.logs {
		if log.Progress() >= 0 {
			d.write(context.Background(), log)
		}
	}
}

func (d *double) decide(ctx context.Context, p int32, records []event.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(records) == 0 || ctx.Err() != nil {
		return
	}
	log := d.logs[p]
	told := redislayout.Outcomes{First: records[0].Offset, Last: records[len(records)-1].Offset}
	for _, r := range records {
		for int64(len(told.Outcomes)) < r.Offset-told.First {
			told.Outcomes = append(told.Outcomes, fcfs.None)
		}
		outcome, sequence := apply(log, r)
		told.Outcomes = append(told.Outcomes, outcome)
		if outcome == fcfs.Granted {
			told.Sequences = append(told.Sequences, sequence)
		}
	}
	d.write(ctx, log)
	if !d.muted.Load() {
		d.redis.Publish(ctx, redislayout.New(d.prefix, p).Outcomes(), told.Encode())
	}
}

func apply(log *fcfs.Log, r event.Record) (fcfs.Outcome, int64) {
	t := fcfs.FromTime(r.Time)
	e, err := event.Decode(r)
	if err != nil {
		log.Invalid(r.Offset, t)
		return fcfs.Invalid, 0
	}
	switch data := e.Data.(type) {
	case event.CouponDefined:
		outcome, _ := log.Define(r.Offset, t, fcfs.Definition{
			CouponID: data.CouponID, Limit: data.Limit, Window: fcfs.Window(data.Window), TimeZone: data.TimeZone,
			OpensAt: fcfs.FromTime(data.OpensAt), ClosesAt: fcfs.FromTime(data.ClosesAt), Rules: data.Rules,
		})
		return outcome, 0
	case event.ClaimRequested:
		decision, _ := log.Claim(r.Offset, t, data.CouponID, data.UserID)
		return decision.Outcome, decision.Sequence
	}
	log.Invalid(r.Offset, t)
	return fcfs.Invalid, 0
}

// write is slow and sure: all of the partition, each time.
func (d *double) write(ctx context.Context, log *fcfs.Log) {
	keys := redislayout.New(d.prefix, int32(indexOf(d.logs, log)))
	_, err := d.redis.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		tx.Del(ctx, keys.Coupons())
		for id, c := range log.Coupons() {
			tx.ZAdd(ctx, keys.Coupons(), redis.Z{Member: id})
			tx.Del(ctx, keys.Coupon(id))
			definitions := c.Definitions()
			current := definitions[len(definitions)-1]
			tx.HSet(ctx, keys.Coupon(id), redislayout.FieldCurrent, current.Offset, redislayout.FieldLimit, current.Limit,
				redislayout.FieldDefinitions, len(definitions), redislayout.FieldTotal, c.Total())
			for _, def := range definitions {
				tx.HSet(ctx, keys.Coupon(id), redislayout.DefinitionField(def.Offset), redislayout.EncodeDefinition(def.Definition))
			}
			for _, window := range c.Windows() {
				tx.HSet(ctx, keys.Coupon(id), redislayout.GrantedField(window), c.Count(window))
				for user, entry := range c.People(window) {
					tx.HSet(ctx, keys.Granted(id, window), user, redislayout.Entry(entry).String())
				}
			}
		}
		at := redislayout.Progress{Offset: log.Progress(), AppendTime: log.AppendTime(), LogTime: log.LogTime()}
		tx.Set(ctx, keys.Progress(), at.String(), 0)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		d.t.Logf("double: %v", err) // the test may have taken Redis away
	}
}

func indexOf(logs []*fcfs.Log, log *fcfs.Log) int {
	for i, l := range logs {
		if l == log {
			return i
		}
	}
	panic("double: not one of its logs")
}
