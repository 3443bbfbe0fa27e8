package redisstore_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/services/issuer/internal/redisstore"
	"github.com/firstcome/firstcome/services/issuer/partition"
	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

// spy is a store whose every change is compared with the dumb model.
type spy struct {
	*redisstore.Store
	t     *testing.T
	redis *redis.Client
	keys  redislayout.Keys
	world *partitiontest.World
	sizes []int
}

func (s *spy) Decide(ctx context.Context, batches ...*partition.Batch) []partition.Answer {
	answers := make([]partition.Answer, len(batches))
	for i, b := range batches { // one by one, so that each is compared
		before := s.dump()
		answers[i] = s.Store.Decide(ctx, b)[0]
		s.sizes = append(s.sizes, len(b.Requests()))
		if answers[i].Err != nil {
			s.t.Fatalf("progress %d: %v", b.Expected.Offset, answers[i].Err)
		}
		s.compare()
		s.refusalsLeaveNothing(b, answers[i], before)
	}
	return answers
}

func (s *spy) Restore(ctx context.Context, r *partition.Restore) (partition.Progress, error) {
	found, err := s.Store.Restore(ctx, r)
	if err != nil {
		s.t.Fatalf("progress %d: %v", r.Expected.Offset, err)
	}
	s.compare()
	return found, err
}

func (s *spy) Publish(ctx context.Context, o redislayout.Outcomes) error {
	s.world.Published(o)
	return s.Store.Publish(ctx, o)
}

// compare reads all keys of the partition and says where they are not what the log up to progress leads to.
func (s *spy) compare() {
	have := s.dump()
	value := have[s.keys.Progress()]["value"]
	p, err := redislayout.ParseProgress(value)
	if err != nil {
		s.t.Fatal(err)
	}
	want := expected(s.keys, s.world.UpTo(p.Offset), p)
	delete(have, s.keys.Outbox())
	loaded, err := s.Load(s.t.Context())
	if err != nil || loaded.Progress != p {
		s.t.Fatalf("progress %d: loaded %d, %v", p.Offset, loaded.Progress.Offset, err)
	}
	s.world.Keeps(p.Offset, loaded.Outbox)
	for key := range have {
		if want[key] == nil {
			s.t.Fatalf("progress %d: key %s is too much: %v", p.Offset, key, have[key])
		}
	}
	for key, fields := range want {
		if !maps.Equal(fields, have[key]) {
			s.t.Fatalf("progress %d: %s is\n%v, not\n%v", p.Offset, key, have[key], fields)
		}
	}
}

// refusalsLeaveNothing: a batch that granted and defined nothing changes progress, what was due to be dropped, and no byte more.
func (s *spy) refusalsLeaveNothing(b *partition.Batch, a partition.Answer, before map[string]map[string]string) {
	for _, g := range a.Groups {
		if slices.Contains(g.Outcomes, fcfs.Granted) {
			return
		}
	}
	if a.Define == fcfs.Created || len(b.Drops) > 0 {
		return
	}
	after := s.dump()
	for _, key := range []string{s.keys.Progress(), s.keys.Outbox()} { // the outbox may get shorter
		delete(before, key)
		delete(after, key)
	}
	for key := range after {
		if !maps.Equal(before[key], after[key]) {
			s.t.Fatalf("progress %d: refusals changed %s from %v to %v", b.Next.Offset, key, before[key], after[key])
		}
	}
}

// dump gives each key's fields.
func (s *spy) dump() map[string]map[string]string {
	ctx := s.t.Context()
	all := map[string]map[string]string{}
	prefix := strings.TrimSuffix(s.keys.Progress(), "progress")
	keys, err := s.redis.Keys(ctx, strings.NewReplacer("{", `\{`, "}", `\}`).Replace(prefix)+"*").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, key := range keys {
		switch kind := s.redis.Type(ctx, key).Val(); kind {
		case "string":
			all[key] = map[string]string{"value": s.redis.Get(ctx, key).Val()}
		case "hash":
			all[key] = s.redis.HGetAll(ctx, key).Val()
		case "list":
			all[key] = map[string]string{"elements": strconv.Itoa(int(s.redis.LLen(ctx, key).Val()))}
		case "zset":
			all[key] = map[string]string{}
			for _, z := range s.redis.ZRangeWithScores(ctx, key, 0, -1).Val() {
				all[key][fmt.Sprint(z.Member)] = strconv.FormatInt(int64(z.Score), 10)
			}
		default:
			s.t.Fatalf("%s is a %s", key, kind)
		}
	}
	return all
}

// expected is what Redis has to hold for a state, by the layout's own words.
func expected(k redislayout.Keys, l *fcfs.Log, p redislayout.Progress) map[string]map[string]string {
	want := map[string]map[string]string{k.Progress(): {"value": p.String()}}
	put := func(key, field, value string) {
		if want[key] == nil {
			want[key] = map[string]string{}
		}
		want[key][field] = value
	}
	for id, c := range l.Coupons() {
		put(k.Coupons(), id, "0")
		definitions := c.Definitions()
		last := definitions[len(definitions)-1]
		put(k.Coupon(id), redislayout.FieldCurrent, fmt.Sprint(last.Offset))
		put(k.Coupon(id), redislayout.FieldLimit, fmt.Sprint(last.Limit))
		put(k.Coupon(id), redislayout.FieldDefinitions, fmt.Sprint(len(definitions)))
		for _, d := range definitions {
			put(k.Coupon(id), redislayout.DefinitionField(d.Offset), redislayout.EncodeDefinition(d.Definition))
		}
		if c.Total() > 0 {
			put(k.Coupon(id), redislayout.FieldTotal, fmt.Sprint(c.Total()))
		}
		for _, window := range c.Windows() {
			put(k.Coupon(id), redislayout.GrantedField(window), fmt.Sprint(c.Count(window)))
			for user, e := range c.People(window) {
				put(k.Granted(id, window), user, redislayout.Entry(e).String())
			}
		}
		for _, w := range partitiontest.WindowsOf(id, c, l.LogTime()) {
			at, _ := c.Current().DropAt(w.Day)
			put(k.Retire(), redislayout.RetireMember(id, w.Day), fmt.Sprint(int64(at)))
		}
	}
	return want
}

func newSpy(t *testing.T, servers *coupontest.Servers, partition int32, w *partitiontest.World) *spy {
	t.Helper()
	client := redisstore.Open(env.Redis{Addr: []string{servers.RedisAddr}, Mode: "single", Prefix: servers.RedisPrefix})
	t.Cleanup(func() { _ = client.Close() })
	return &spy{
		Store: client.Partition(partition), t: t, redis: servers.Redis(t), keys: redislayout.New(servers.RedisPrefix, partition), world: w,
	}
}

// The script agrees with the dumb model: random histories in batches of random size, all keys compared after each batch;
// then Redis is emptied in the middle and rebuilt from the journal, all keys compared after each piece.
func TestStore_AgreesWithTheLog(t *testing.T) {
	servers := coupontest.Start(t, coupontest.Redis)
	for seed := uint64(1); seed <= 25; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			w := partitiontest.NewWorld(int32(seed))
			s := newSpy(t, servers, int32(seed), w)
			w.Use(s)
			history := partitiontest.RandomHistory(rng, 150)
			cfg := partition.Config{Partition: int32(seed), MaxBatch: 1 + rng.IntN(40), MaxEmit: 7, MaxInFlight: 3}
			o := partitiontest.NewOwner(w, 0, cfg)
			now := time.Unix(1_800_000_000, 0)
			for i, q := range history {
				w.Append(int64(rng.IntN(2)), q)
				if rng.IntN(40) > 0 && i < len(history)-1 {
					continue
				}
				now = settle(t, o, now)
				if rng.IntN(3) == 0 {
					s.redis.Del(t.Context(), slices.Collect(maps.Keys(s.dump()))...)
					now = settle(t, o, now.Add(time.Minute))
				}
			}
		})
	}
}

func settle(t *testing.T, o *partitiontest.Owner, now time.Time) time.Time {
	t.Helper()
	now, settled := o.Settle(now, nil)
	for _, b := range o.World.Breaches {
		t.Fatal(b)
	}
	if !settled {
		t.Fatal("never done: ", o.StoppedFor())
	}
	return now
}
