package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
	"github.com/firstcome/firstcome/services/ledger/posting/postingtest"
)

// Postgres and the plain store in memory, on which posting is tested and simulated, do the same: whatever batches come,
// from wherever, and however much they contradict.
func TestStore_AgreesWithMemory(t *testing.T) {
	real, plain := newStore(t), postingtest.NewStore()
	r := rand.New(rand.NewPCG(4, 6))
	told := map[string]int{}
	for step := range 400 {
		partition := r.Int32N(2)
		from := begin(t, real, partition)
		if at, err := plain.Begin(t.Context(), partition); err != nil || !at.Equal(from) {
			t.Fatalf("step %d: at %+v, and in memory at %+v, %v", step, from, at, err)
		}
		if r.IntN(5) == 0 { // somebody who is behind, or ahead
			from.Next += r.Int64N(3) - 1
		}
		b, settle := anyBatch(r, partition, from), settling(r)
		refused, err := settledBy(t, real, b, settle)
		plainly, plainErr := settledBy(t, plain, b, settle)
		if fmt.Sprint(refused, kindOf(err)) != fmt.Sprint(plainly, kindOf(plainErr)) {
			t.Fatalf("step %d: refused %v, %v; in memory %v, %v", step, refused, err, plainly, plainErr)
		}
		told[kindOf(err)]++
		told["refused"] += min(1, len(refused))
		sameRows(t, real, plain)
		if t.Failed() {
			t.Fatalf("step %d: %+v", step, b)
		}
	}
	for _, what := range []string{"written", "moved", "broken", "refused"} {
		if told[what] < 20 {
			t.Errorf("%s only %d times: the batches are too tame", what, told[what])
		}
	}
}

var errBroken = errors.New("broken")

func kindOf(err error) string {
	switch {
	case err == nil:
		return "written"
	case errors.Is(err, posting.ErrMoved):
		return "moved"
	case errors.Is(err, errBroken):
		return "broken"
	}
	return err.Error()
}

func settling(r *rand.Rand) error {
	if r.IntN(6) == 0 {
		return errBroken
	}
	return nil
}

func settledBy(t *testing.T, s posting.Store, b posting.Batch, with error) (refused posting.Refused, err error) {
	err = s.Write(t.Context(), b, func(_ context.Context, r posting.Refused) error {
		refused = append(posting.Refused{}, r...)
		return with
	})
	return refused, err
}

// anyBatch has few coupons, people, sequences and sources, so that all of them meet again.
func anyBatch(r *rand.Rand, partition int32, from posting.Place) posting.Batch {
	offsets := r.Perm(60)[:r.IntN(6)]
	var definitions []event.CouponDefined
	var grants []event.CouponGranted
	for _, offset := range offsets {
		coupon := fmt.Sprintf("c%d%d", partition, r.IntN(2))
		if r.IntN(4) == 0 {
			d := definition(partition, int64(offset), coupon)
			d.Limit = 1 + r.Int64N(2)
			definitions = append(definitions, d)
			continue
		}
		grants = append(grants, grant(partition, int64(offset), coupon, fmt.Sprint("u", r.IntN(6)), "", 1+r.Int64N(6)))
	}
	return batch(partition, from, definitions, grants...)
}

func sameRows(t *testing.T, real *Store, plain *postingtest.Store) {
	t.Helper()
	got, err := real.Grants(t.Context(), Filter{Limit: 1000})
	slices.SortFunc(got, func(a, b event.CouponGranted) int {
		return cmp.Or(cmp.Compare(a.Source.Partition, b.Source.Partition), cmp.Compare(a.Source.Offset, b.Source.Offset))
	})
	want := plain.Grants()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("holds %+v, %v; in memory %+v", got, err, want)
	}
	counts, definitions := map[string]int64{}, map[string][]event.CouponDefined{}
	for _, g := range want {
		counts[g.CouponID]++
	}
	for _, d := range plain.Definitions() {
		definitions[d.CouponID] = append(definitions[d.CouponID], d)
	}
	for _, coupon := range []string{"c00", "c01", "c10", "c11"} { // all there are, see anyBatch
		sameCoupon(t, real, coupon, counts[coupon], definitions[coupon])
	}
}

func sameCoupon(t *testing.T, real *Store, coupon string, granted int64, definitions []event.CouponDefined) {
	t.Helper()
	c, err := real.Coupon(t.Context(), coupon)
	var sum int64
	for _, w := range c.Windows {
		sum += w.Granted
	}
	same := func(a, b event.CouponDefined) bool {
		if *a.Source != *b.Source {
			return false
		}
		a.Source = b.Source
		return a == b
	}
	if err != nil || sum != granted || !slices.EqualFunc(c.Definitions, definitions, same) {
		t.Errorf("%s: holds %+v, %v; in memory %d grants and %+v", coupon, c, err, granted, definitions)
	}
}
