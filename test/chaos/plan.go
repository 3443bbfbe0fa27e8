package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A kind is a fault by name: what is hit, and how long until it is mended.
type kind struct {
	Name     string
	Target   string // what is hit: two faults at once have different ones
	Quiet    bool   // strikes when nobody asks any more
	Min, Max time.Duration
}

// allKinds are all faults there are.
var allKinds = []kind{
	{Name: "gateway killed", Target: "gateway", Min: 200 * time.Millisecond, Max: 2 * time.Second},
	{Name: "issuer killed", Target: "issuer", Min: 200 * time.Millisecond, Max: 2 * time.Second},
	{Name: "ledger killed", Target: "ledger", Min: 200 * time.Millisecond, Max: 2 * time.Second},
	{Name: "Kafka killed", Target: "kafka", Min: 200 * time.Millisecond, Max: 2 * time.Second},
	{Name: "Redis killed, with AOF", Target: "redis", Min: 200 * time.Millisecond, Max: 2 * time.Second},
	{Name: "Redis killed, comes back empty", Target: "redis", Min: 200 * time.Millisecond, Max: 2 * time.Second},
	{Name: "Redis from an old RDB", Target: "redis", Min: 200 * time.Millisecond, Max: 2 * time.Second},
	{Name: "Postgres killed", Target: "postgres", Min: 200 * time.Millisecond, Max: 2 * time.Second},
	{Name: "FLUSHALL under load", Target: "redis"},
	{Name: "FLUSHALL without traffic", Target: "redis", Quiet: true},
	{Name: "issuer stopped, then continued", Target: "issuer", Min: 7 * time.Second, Max: 9 * time.Second},
	{Name: "ledger stopped, then continued", Target: "ledger", Min: 7 * time.Second, Max: 9 * time.Second},
	{Name: "issuer added", Target: "issuer", Min: time.Second, Max: 2 * time.Second},
	{Name: "issuer removed", Target: "issuer", Min: time.Second, Max: 2 * time.Second},
	{Name: "journal refuses writes", Target: "kafka", Min: time.Second, Max: 4 * time.Second},
}

// twoAtOnce is the kind of rounds in which two faults strike together.
const twoAtOnce = "two at once"

// strike is one fault of a round.
type strike struct {
	kind
	Lasts time.Duration // until it is mended
}

// round is what is random about a round.
type round struct {
	Number   int
	Kind     string // name of the one fault, or twoAtOnce
	Strikes  []strike
	Moment   time.Duration // from the first claim to the fault
	Change   time.Duration // from the first claim to the new limit of the coupon whose limit changes
	Rises    bool          // that limit; else it falls
	HotShare float64       // of the people who want the hot coupon, those who can get one
	Chance   uint64        // what else the fault may choose: which process, which snapshot
	Traffic  time.Duration // for how long people arrive
}

// settle is for how long people arrive after all is mended.
const settle = 4 * time.Second

// plan makes round number n (from 1) of a run. It depends on the seed, the number and the kinds alone. Kinds come from a
// shuffled deck, so that each comes up before any comes again.
func plan(seed uint64, n int, kinds []string) round {
	deck := slices.Clone(kinds)
	shuffled := rand.New(rand.NewPCG(seed, uint64((n-1)/len(deck))))
	shuffled.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	rng := rand.New(rand.NewPCG(seed, 1<<32+uint64(n)))
	r := round{
		Number: n, Kind: deck[(n-1)%len(deck)],
		Moment: between(rng, time.Second, 3*time.Second), Change: between(rng, 500*time.Millisecond, 5*time.Second),
		Rises: rng.IntN(2) == 0, HotShare: 0.2 + 0.6*rng.Float64(), Chance: rng.Uint64(),
	}
	for _, k := range strikes(rng, r.Kind) {
		r.Strikes = append(r.Strikes, strike{k, between(rng, k.Min, k.Max)})
	}
	r.Traffic = r.Moment + settle
	for _, s := range r.Strikes {
		r.Traffic = max(r.Traffic, r.Moment+s.Lasts+settle)
	}
	return r
}

// strikes are the faults of a round of a kind.
func strikes(rng *rand.Rand, name string) []kind {
	if name != twoAtOnce {
		return []kind{kindOf(name)}
	}
	var loud []kind
	for _, k := range allKinds {
		if !k.Quiet {
			loud = append(loud, k)
		}
	}
	first := loud[rng.IntN(len(loud))]
	others := slices.DeleteFunc(loud, func(k kind) bool { return k.Target == first.Target })
	return []kind{first, others[rng.IntN(len(others))]}
}

// kindOf finds a kind by its name.
func kindOf(name string) kind {
	i := slices.IndexFunc(allKinds, func(k kind) bool { return k.Name == name })
	if i < 0 {
		panic(fmt.Sprintf("chaos: no fault %q", name))
	}
	return allKinds[i]
}

// kindNames are the kinds that a round can be of.
func kindNames() []string {
	var names []string
	for _, k := range allKinds {
		names = append(names, k.Name)
	}
	return append(names, twoAtOnce)
}

func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(rng.Int64N(int64(most-least)))
}
