package redisstore_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/services/issuer/partition"
	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

var steps = flag.Int("steps", 0, "records that the long histories decide; 0: 100,000, or 6,000 with -short or under the race detector")

// Long histories of three partitions on one Redis, step by step side by side: each has two owners, of which either may
// believe to own it, and all that can go wrong between two of their calls; Redis is emptied and rewound in the middle, and
// rebuilt from the journal. Every answer is compared with the pure rules, and all keys at random moments and at the end.
func TestStore_LongHistories(t *testing.T) {
	servers := coupontest.Start(t, coupontest.Redis)
	records := *steps
	if records == 0 {
		records = 6_000
		if thorough() {
			records = 100_000
		}
	}
	rounds := (records + abreast*length - 1) / (abreast * length)
	for seed := range uint64(rounds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			sideBySide(t, servers, seed)
		})
	}
}

const (
	abreast = 3   // partitions
	length  = 700 // of a history
)

type stroll struct {
	*partitiontest.Walk
	*spy
	ahead []partition.Request // not asked yet
}

func sideBySide(t *testing.T, servers *coupontest.Servers, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 5))
	var strolls []*stroll
	for i := range abreast {
		s := newStroll(t, servers, int32(seed*abreast)+int32(i), rng)
		s.ahead = partitiontest.LongHistory(rng, length)
		if seed == 0 && i == 0 {
			s.ahead = slices.Concat(manyDefinitions(rng), s.ahead)
		}
		strolls = append(strolls, s)
	}
	for range 30_000 {
		if !slices.ContainsFunc(strolls, (*stroll).busy) {
			break
		}
		strolls[rng.IntN(len(strolls))].step(rng)
	}
	for _, s := range strolls {
		s.Append(s.ahead...)
		s.Finish()
		s.noBreach()
		s.compare()
		if at := s.Progress().Offset; at < s.World.End-1 {
			t.Fatalf("partition %d ends at %d of %d: %s", s.World.Partition, at, s.World.End-1, s.Owners[s.World.Owner].StoppedFor())
		}
		s.Empty()
	}
}

func newStroll(t *testing.T, servers *coupontest.Servers, number int32, rng *rand.Rand) *stroll {
	w := partitiontest.NewWorld(number)
	w.FetchMost, w.JournalPage = 100, 200
	s := newSpy(t, servers, number, w)
	s.rng = rng
	s.Empty()
	w.Use(s)
	budget := partitiontest.Budget{Fail: 60, Crash: 40, Steal: 40, Empty: 5, Rewind: 5, Late: 30}
	return &stroll{Walk: partitiontest.NewLongWalk(w, rng, budget), spy: s}
}

// undecided is how far the log is ahead of the highest progress.
func (s *stroll) undecided() int64 { return s.World.End - 1 - s.World.Decided() }

func (s *stroll) busy() bool { return len(s.ahead) > 0 || s.undecided() > 0 }

func (s *stroll) step(rng *rand.Rand) {
	if n := min(len(s.ahead), 1+rng.IntN(60)); n > 0 && s.undecided() < 40 {
		s.Append(s.ahead[:n]...)
		s.ahead = s.ahead[n:]
	}
	if rng.IntN(100) == 0 {
		s.World.Drop(s.World.Committed.Offset - rng.Int64N(3)) // retention: of what was committed, nothing is needed
	}
	s.Step()
	s.noBreach()
}

func (s *stroll) noBreach() {
	for _, b := range s.World.Breaches {
		s.t.Fatalf("partition %d: %s; after\n%v", s.World.Partition, b, s.Trace[max(0, len(s.Trace)-40):])
	}
}

// manyDefinitions defines one coupon anew until that is refused, once in a while as another that it can't become.
func manyDefinitions(rng *rand.Rand) []partition.Request {
	var log []partition.Request
	for i := range fcfs.MaxDefinitions * 5 / 4 {
		at := noon + fcfs.Millis(i)
		d := coupon("many", 1+rng.Int64N(50))
		if rng.IntN(10) == 0 {
			d.Window = fcfs.WindowDaily
		}
		log = append(log, partitiontest.Define(at, d))
		if rng.IntN(5) == 0 {
			log = append(log, partitiontest.Claim(at, "many", fmt.Sprint("u", rng.IntN(60))))
		}
	}
	return log
}

// Two owners at the very same time: one of them decides, and the other finds what that one led to and changes nothing.
func TestStore_TwoOwnersAtOnce(t *testing.T) {
	s, _, at := held(t)
	for round := range int64(200) {
		batches, answers := [2]*partition.Batch{}, [2]partition.Answer{}
		var owners sync.WaitGroup
		for i := range batches {
			next := partition.Progress{Offset: at.Offset + 1, AppendTime: noon, LogTime: noon + fcfs.Millis(2*round) + fcfs.Millis(i)}
			batches[i] = &partition.Batch{Expected: at, Next: next, Groups: []partition.Group{{
				Window: partition.Window{CouponID: "daily", Day: "2027-01-15"}, Limit: 1000,
				Claims: []partition.Claim{{Offset: next.Offset, Time: noon, LogTime: next.LogTime, UserID: fmt.Sprintf("%d of %d", round, i)}},
			}}}
			owners.Go(func() { answers[i] = s.Store.Decide(t.Context(), batches[i])[0] })
		}
		owners.Wait()
		won := slices.IndexFunc(answers[:], func(a partition.Answer) bool { return a.Err == nil && a.Found == at })
		if won < 0 || answers[1-won].Err != nil || answers[1-won].Found != batches[won].Next {
			t.Fatalf("round %d: %+v", round, answers)
		}
		at = batches[won].Next
		people := s.dump()[s.keys.Granted("daily", "2027-01-15")]
		if want := fmt.Sprintf("%d:%d", round+2, at.Offset); len(people) != int(round)+2 || people[fmt.Sprintf("%d of %d", round, won)] != want {
			t.Fatalf("round %d: owner %d decided, and there are %v", round, won, people)
		}
	}
}
