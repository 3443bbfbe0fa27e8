package redisstore_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/services/issuer/partition"
	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

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
					s.Empty()
					now = settle(t, o, now.Add(time.Minute))
				}
			}
		})
	}
}

func settle(t testing.TB, o *partitiontest.Owner, now time.Time) time.Time {
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
