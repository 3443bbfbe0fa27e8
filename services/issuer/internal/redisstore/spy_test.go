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

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/services/issuer/internal/redisstore"
	"github.com/firstcome/firstcome/services/issuer/partition"
	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

// spy is a store whose answers are compared with the dumb model, and so is what it holds: after every change, or at random.
type spy struct {
	*redisstore.Store
	t     testing.TB
	redis *redis.Client
	keys  redislayout.Keys
	world *partitiontest.World
	rng   *rand.Rand // nil: every change
	sizes []int
}

var _ partitiontest.Losable = (*spy)(nil)

// looks tells whether the next change is one after which all keys are compared.
func (s *spy) looks() bool { return s.rng == nil || s.rng.IntN(40) == 0 }

func (s *spy) Decide(ctx context.Context, batches ...*partition.Batch) []partition.Answer {
	answers := make([]partition.Answer, len(batches))
	for i, b := range batches { // one by one, so that each is compared
		answers[i] = s.decide(ctx, b)
		s.sizes = append(s.sizes, len(b.Requests()))
	}
	return answers
}

func (s *spy) decide(ctx context.Context, b *partition.Batch) partition.Answer {
	looks := s.looks()
	var before map[string]map[string]string
	if looks {
		before = s.dump()
	}
	a := s.Store.Decide(ctx, b)[0]
	if a.Err != nil {
		s.t.Fatalf("progress %d: %v", b.Expected.Offset, a.Err)
	}
	s.answered(b, a)
	if !looks {
		return a
	}
	after := s.compare()
	switch {
	case a.Found == b.Expected:
		s.moved(b, after)
	case !equal(before, after):
		s.t.Fatalf("progress %d: a batch of progress %d changed\n%v to\n%v", a.Found.Offset, b.Expected.Offset, before, after)
	}
	s.refusalsLeaveNothing(b, a, before, after)
	s.comesTooLate(ctx, b, after)
	return a
}

// moved: progress is where the batch leads to, and what the journal has acknowledged is gone from the outbox.
func (s *spy) moved(b *partition.Batch, after map[string]map[string]string) {
	if at := after[s.keys.Progress()]["value"]; at != b.Next.String() {
		s.t.Fatalf("progress is %s, not %v", at, b.Next)
	}
	head, _, _ := strings.Cut(after[s.keys.Outbox()]["0"], "\n")
	if first, err := redislayout.ParseProgress(head); err == nil && first.Offset <= b.Covered {
		s.t.Fatalf("progress %d: the outbox still has %d, though %d is covered", b.Next.Offset, first.Offset, b.Covered)
	}
}

// answered compares each answer with what the log leads to.
func (s *spy) answered(b *partition.Batch, a partition.Answer) {
	if a.Found != b.Expected {
		return
	}
	s.world.Reached(b.Next)
	for i, g := range b.Groups {
		sequence := a.Groups[i].Before
		for j, got := range a.Groups[i].Outcomes {
			want, place := s.world.Outcome(g.Claims[j].Offset)
			if got == fcfs.Granted {
				sequence++
			}
			if got != want || got == fcfs.Granted && sequence != place {
				s.t.Fatalf("offset %d is %v with sequence %d, not %v with %d", g.Claims[j].Offset, got, sequence, want, place)
			}
		}
	}
	if b.Define == nil {
		return
	}
	want, _ := s.world.Outcome(b.Next.Offset)
	if want == fcfs.Changed {
		want = fcfs.Created
	}
	if a.Define != want {
		s.t.Fatalf("the definition at offset %d is %v, not %v", b.Next.Offset, a.Define, want)
	}
}

// comesTooLate: of two owners that decide the same, the second is told so, and changes nothing.
func (s *spy) comesTooLate(ctx context.Context, b *partition.Batch, before map[string]map[string]string) {
	at := s.Progress()
	if again := s.Store.Decide(ctx, b)[0]; again.Err != nil || again.Found != at {
		s.t.Fatalf("progress %d: decided once more, a batch finds %+v, %v", at.Offset, again.Found, again.Err)
	}
	if after := s.dump(); !equal(before, after) {
		s.t.Fatalf("progress %d: decided once more, a batch changed\n%v to\n%v", at.Offset, before, after)
	}
}

func (s *spy) Restore(ctx context.Context, r *partition.Restore) (partition.Progress, error) {
	found, err := s.Store.Restore(ctx, r)
	if err != nil {
		s.t.Fatalf("progress %d: %v", r.Expected.Offset, err)
	}
	if found == r.Expected {
		s.world.Reached(r.Next)
	}
	if s.looks() {
		s.compare()
	}
	return found, err
}

func (s *spy) Publish(ctx context.Context, o redislayout.Outcomes) error {
	s.world.Published(o)
	return s.Store.Publish(ctx, o)
}

// compare reads all keys of the partition and says where they are not what the log up to progress leads to.
func (s *spy) compare() (all map[string]map[string]string) {
	all = s.dump()
	have := maps.Clone(all)
	if len(have) == 0 {
		return all // emptied
	}
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
	return all
}

// refusalsLeaveNothing: a batch that granted and defined nothing changes progress, what was due to be dropped, and no byte more.
func (s *spy) refusalsLeaveNothing(b *partition.Batch, a partition.Answer, before, after map[string]map[string]string) {
	for _, g := range a.Groups {
		if slices.Contains(g.Outcomes, fcfs.Granted) {
			return
		}
	}
	if a.Define == fcfs.Created || len(b.Drops) > 0 {
		return
	}
	for key := range after {
		if key == s.keys.Progress() || key == s.keys.Outbox() { // which may get shorter
			continue
		}
		if !maps.Equal(before[key], after[key]) {
			s.t.Fatalf("progress %d: refusals changed %s from %v to %v", b.Next.Offset, key, before[key], after[key])
		}
	}
}

// dump gives each key's fields.
func (s *spy) dump() map[string]map[string]string {
	ctx := s.t.Context()
	prefix := strings.TrimSuffix(s.keys.Progress(), "progress")
	keys, err := s.redis.Keys(ctx, strings.NewReplacer("{", `\{`, "}", `\}`).Replace(prefix)+"*").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	pipe := s.redis.Pipeline()
	kinds := make([]*redis.StatusCmd, len(keys))
	for i, key := range keys {
		kinds[i] = pipe.Type(ctx, key)
	}
	s.exec(pipe)
	values := make([]func() map[string]string, len(keys))
	for i, key := range keys {
		values[i] = s.value(pipe, kinds[i].Val(), key)
	}
	s.exec(pipe)
	all := map[string]map[string]string{}
	for i, key := range keys {
		all[key] = values[i]()
	}
	return all
}

func (s *spy) exec(pipe redis.Pipeliner) {
	if _, err := pipe.Exec(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *spy) value(pipe redis.Pipeliner, kind, key string) func() map[string]string {
	ctx := s.t.Context()
	switch kind {
	case "string":
		got := pipe.Get(ctx, key)
		return func() map[string]string { return map[string]string{"value": got.Val()} }
	case "hash":
		return pipe.HGetAll(ctx, key).Val
	case "list":
		got := pipe.LRange(ctx, key, 0, -1)
		return func() map[string]string { return fields(got.Val()) }
	case "zset":
		got := pipe.ZRangeWithScores(ctx, key, 0, -1)
		return func() map[string]string {
			members := map[string]string{}
			for _, z := range got.Val() {
				members[fmt.Sprint(z.Member)] = strconv.FormatInt(int64(z.Score), 10)
			}
			return members
		}
	}
	s.t.Fatalf("%s is a %s", key, kind)
	return nil
}

// fields names the elements of a list.
func fields(elements []string) map[string]string {
	named := map[string]string{}
	for i, e := range elements {
		named[strconv.Itoa(i)] = e
	}
	return named
}

// Progress is where the partition is.
func (s *spy) Progress() partition.Progress {
	value, err := s.redis.Get(s.t.Context(), s.keys.Progress()).Result()
	if err == redis.Nil {
		return partition.Nothing
	}
	at, err := redislayout.ParseProgress(value)
	if err != nil {
		s.t.Fatal(err)
	}
	return at
}

// Empty loses everything.
func (s *spy) Empty() { s.put(nil) }

// Snapshot remembers all keys.
func (s *spy) Snapshot() (rewind func()) {
	saved := s.dump()
	return func() { s.put(saved) }
}

// put lets the partition have these keys and no others.
func (s *spy) put(all map[string]map[string]string) {
	ctx := s.t.Context()
	pipe := s.redis.TxPipeline()
	for key := range s.dump() {
		pipe.Del(ctx, key)
	}
	for key, held := range all {
		switch key {
		case s.keys.Progress():
			pipe.Set(ctx, key, held["value"], 0)
		case s.keys.Outbox():
			for i := range len(held) {
				pipe.RPush(ctx, key, held[strconv.Itoa(i)])
			}
		case s.keys.Coupons(), s.keys.Retire():
			for member, score := range held {
				at, err := strconv.ParseFloat(score, 64)
				if err != nil {
					s.t.Fatal(err)
				}
				pipe.ZAdd(ctx, key, redis.Z{Member: member, Score: at})
			}
		default:
			pipe.HSet(ctx, key, held)
		}
	}
	s.exec(pipe)
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

func newSpy(t testing.TB, servers *coupontest.Servers, partition int32, w *partitiontest.World) *spy {
	t.Helper()
	client := redisstore.Open(env.Redis{Addr: []string{servers.RedisAddr}, Mode: "single", Prefix: servers.RedisPrefix})
	t.Cleanup(func() { _ = client.Close() })
	return &spy{
		Store: client.Partition(partition), t: t, redis: servers.Redis(t), keys: redislayout.New(servers.RedisPrefix, partition), world: w,
	}
}
