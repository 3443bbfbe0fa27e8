package postgres

import (
	"context"
	"sort"
	"time"

	"github.com/jackc/pgx/v5"
)

// Times are found without an index of their own, which would cost every insert: within a coupon and window the log time
// never falls as the sequence rises, so that grants_sequence is searched as a sorted list is. A search looks at 27 rows of a
// hundred million, or fewer where many go side by side, with one statement for a step of all of them.

// span is a range of sequences: from first on, and below end; 0: without an end.
type span struct{ first, end int64 }

// between is where the times of a filter lead.
func (s *Store) between(ctx context.Context, f Filter) (within span, err error) {
	if f.CouponID == nil || f.Window == nil || f.From == nil && f.To == nil {
		return within, nil
	}
	var times []time.Time
	for _, t := range []*time.Time{f.From, f.To} {
		if t != nil {
			times = append(times, *t)
		}
	}
	found, err := firstSince(ctx, s.read, *f.CouponID, *f.Window, times)
	if err != nil {
		return within, err
	}
	if f.From != nil {
		within.first, found = found[0], found[1:]
	}
	if f.To != nil {
		within.end = found[0]
	}
	return within, nil
}

type rowsQuerier interface {
	querier
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

const lastSequence = `SELECT coalesce(max(sequence), 0) FROM grants WHERE coupon_id = $1 AND "window" = $2`

const logTimesAt = `SELECT (SELECT g.log_time FROM grants g WHERE g.coupon_id = $1 AND g."window" = $2 AND g.sequence >= n.s ORDER BY g.sequence LIMIT 1)
FROM unnest($3::bigint[]) WITH ORDINALITY AS n (s, i) ORDER BY n.i`

// firstSince gives, for each time in their order, the first sequence whose log time is not before it; one after the last where
// none is.
func firstSince(ctx context.Context, q rowsQuerier, couponID, window string, times []time.Time) ([]int64, error) {
	var last int64
	if err := q.QueryRow(ctx, lastSequence, couponID, window).Scan(&last); err != nil {
		return nil, err
	}
	look := func(sequences []int64) ([]time.Time, error) {
		rows, _ := q.Query(ctx, logTimesAt, couponID, window, sequences)
		return pgx.CollectRows(rows, pgx.RowTo[time.Time])
	}
	low, high, err := brackets(times, last, look)
	for err == nil {
		var open []int // searches that go on
		var middle []int64
		for i := range times {
			if low[i] < high[i] {
				open, middle = append(open, i), append(middle, low[i]+(high[i]-low[i])/2)
			}
		}
		if len(open) == 0 {
			return low, nil
		}
		var at []time.Time
		if at, err = look(middle); err == nil {
			for n, i := range open {
				if at[n].Before(times[i]) {
					low[i] = middle[n] + 1
				} else {
					high[i] = middle[n]
				}
			}
		}
	}
	return nil, err
}

// brackets looks at as many places as there are times, at equal distances, so that each search begins between two of them.
func brackets(times []time.Time, last int64, look func([]int64) ([]time.Time, error)) (low, high []int64, err error) {
	var places []int64
	for k := range int64(len(times)) {
		if at := 1 + k*last/int64(len(times)); at <= last && (k == 0 || at > places[len(places)-1]) {
			places = append(places, at)
		}
	}
	at, err := look(places)
	for i := range times {
		k := sort.Search(len(at), func(k int) bool { return !at[k].Before(times[i]) })
		low, high = append(low, 1), append(high, last+1)
		if k > 0 {
			low[i] = places[k-1] + 1
		}
		if k < len(at) {
			high[i] = places[k]
		}
	}
	return low, high, err
}

// Step is a part of a window's time, and how many were granted in it by log time.
type Step struct {
	Begin   time.Time
	Granted int64
}

// longer is the next length of a histogram's parts.
func longer(length time.Duration) time.Duration {
	for _, next := range []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour} {
		if next > length {
			return next
		}
	}
	return 2 * length
}

// Histogram gives, in parts of equal length of at least a second and at most most of them, how many were granted in a
// window; parts without any are left out. The parts begin at whole multiples of their length.
func (s *Store) Histogram(ctx context.Context, couponID, window string, most int) (found []Step, length time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, s.read, options, func(tx pgx.Tx) error {
		begins, err := beginsOf(ctx, tx, couponID, window, most, &length)
		if err != nil || len(begins) == 0 {
			return err
		}
		firsts, err := firstSince(ctx, tx, couponID, window, begins)
		if err != nil {
			return err
		}
		for i := range firsts[1:] {
			if n := firsts[i+1] - firsts[i]; n > 0 {
				found = append(found, Step{begins[i], n})
			}
		}
		return nil
	})
	return found, length, err
}

const logTimeBounds = `SELECT (SELECT log_time FROM grants WHERE coupon_id = $1 AND "window" = $2 ORDER BY sequence LIMIT 1),
(SELECT log_time FROM grants WHERE coupon_id = $1 AND "window" = $2 ORDER BY sequence DESC LIMIT 1)`

// beginsOf are where the parts of a window begin, and where the last one ends; none without grants.
func beginsOf(ctx context.Context, q querier, couponID, window string, most int, length *time.Duration) (begins []time.Time, err error) {
	*length = time.Second
	var first, last *time.Time
	if err := q.QueryRow(ctx, logTimeBounds, couponID, window).Scan(&first, &last); err != nil || first == nil {
		return nil, err
	}
	for last.Truncate(*length).Sub(first.Truncate(*length)) >= time.Duration(most)*(*length) {
		*length = longer(*length)
	}
	for t := first.UTC().Truncate(*length); !t.After(*last); t = t.Add(*length) {
		begins = append(begins, t)
	}
	return append(begins, begins[len(begins)-1].Add(*length)), nil
}
