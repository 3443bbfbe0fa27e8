package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

// oldLedger is the ledger of the first schema: every statement that it sends, word for word as it was released. It is kept as
// it is, whatever becomes of the present one, as long as a ledger of that version may run beside a newer schema.
type oldLedger struct {
	pool *pgxpool.Pool
	at   posting.Place
	rows int64 // written so far
}

func newOldLedger(t testing.TB, url string, partition int32) *oldLedger {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	l := &oldLedger{pool: pool}
	if err := l.begin(t.Context(), partition); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *oldLedger) begin(ctx context.Context, partition int32) error {
	if _, err := l.pool.Exec(ctx, `INSERT INTO ledger_offsets (partition, next_offset, highest_source) VALUES ($1, 0, -1) ON CONFLICT DO NOTHING`, partition); err != nil {
		return err
	}
	var err error
	l.at, err = oldPlace(ctx, l.pool, partition, "")
	return err
}

func oldPlace(ctx context.Context, q querier, partition int32, lock string) (posting.Place, error) {
	var p posting.Place
	var offset *int64
	var at *time.Time
	err := q.QueryRow(ctx, `SELECT next_offset, highest_source, last_offset, last_time FROM ledger_offsets WHERE partition = $1 `+lock, partition).
		Scan(&p.Next, &p.HighestSource, &offset, &at)
	if offset != nil && at != nil {
		p.Last = &posting.Mark{Offset: *offset, Time: at.UTC()}
	}
	return p, err
}

// write is its transaction of a batch; meanwhile is called before the commit.
func (l *oldLedger) write(ctx context.Context, b posting.Batch, meanwhile func() error) error {
	return pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		at, err := oldPlace(ctx, tx, b.Partition, "FOR UPDATE")
		if err != nil {
			return err
		}
		if !at.Equal(b.From) {
			return posting.ErrMoved
		}
		definitions := []string{"source_partition", "source_offset", "coupon_id", "limit", "window", "time_zone", "opens_at", "closes_at", "rules", "requested_at", "log_time"}
		rows := pgx.CopyFromSlice(len(b.Definitions), func(i int) ([]any, error) { return definitionRow(b.Definitions[i]), nil })
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"definitions"}, definitions, rows); err != nil {
			return err
		}
		grants := []string{"source_partition", "source_offset", "grant_id", "coupon_id", "user_id", "window", "sequence", "limit", "requested_at", "log_time"}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"grants"}, grants, newGrantRows(b.Grants)); err != nil {
			return err
		}
		if err := meanwhile(); err != nil {
			return err
		}
		return l.finish(ctx, tx, b)
	})
}

func (l *oldLedger) finish(ctx context.Context, tx pgx.Tx, b posting.Batch) error {
	batch := &pgx.Batch{}
	for _, w := range sums(b.Grants) {
		batch.Queue(`INSERT INTO coupon_windows AS w (coupon_id, "window", granted, first_requested_at, last_requested_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (coupon_id, "window") DO UPDATE SET granted = w.granted + excluded.granted,
  first_requested_at = least(w.first_requested_at, excluded.first_requested_at),
  last_requested_at = greatest(w.last_requested_at, excluded.last_requested_at)`, w.couponID, w.window, w.granted, w.first, w.last)
	}
	batch.Queue(`UPDATE ledger_offsets SET next_offset = $2, highest_source = $3, last_offset = $4, last_time = $5 WHERE partition = $1`,
		b.Partition, b.To.Next, b.To.HighestSource, b.To.Last.Offset, b.To.Last.Time)
	err := tx.SendBatch(ctx, batch).Close()
	if err == nil {
		l.at, l.rows = b.To, l.rows+int64(len(b.Grants))
	}
	return err
}

// read is what its API asks: a page of each filter, a summary, and whether a coupon is known.
func (l *oldLedger) read(ctx context.Context) error {
	const members = `SELECT g.grant_id, g.coupon_id, g.user_id, g."window", g.sequence, g."limit", g.requested_at, g.log_time, g.source_partition, g.source_offset`
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{members + ` FROM grants g ORDER BY g.coupon_id, g."window", g.sequence LIMIT $1`, []any{100}},
		{members + ` FROM grants g WHERE g.coupon_id = $1 AND g."window" = $2 AND (g.sequence) > ($3) ORDER BY g.coupon_id, g."window", g.sequence LIMIT $4`, []any{"tea", "", int64(3), 100}},
		{members + ` FROM grants g WHERE g.user_id = $1 ORDER BY g.coupon_id, g."window" LIMIT $2`, []any{"ada", 100}},
		{`SELECT g.* FROM (SELECT coupon_id FROM coupon_windows WHERE "window" = $1 ORDER BY coupon_id) w
CROSS JOIN LATERAL (` + members + ` FROM grants g WHERE g.coupon_id = w.coupon_id AND g."window" = $1
AND g.sequence > 0 ORDER BY g.sequence LIMIT $2) g
ORDER BY w.coupon_id, g.sequence LIMIT $2`, []any{"", 100}},
		{`SELECT coupon_id, "limit", "window", time_zone, opens_at, closes_at, rules, requested_at, log_time, source_partition, source_offset
FROM definitions WHERE coupon_id = $1 ORDER BY source_offset`, []any{"tea"}},
		{`SELECT "window", granted, first_requested_at, last_requested_at FROM coupon_windows WHERE coupon_id = $1 ORDER BY "window"`, []any{"tea"}},
		{`SELECT EXISTS (SELECT FROM definitions WHERE coupon_id = $1)`, []any{"tea"}},
	} {
		rows, err := l.pool.Query(ctx, q.sql, q.args...)
		if err != nil {
			return err
		}
		rows.Close()
		if rows.Err() != nil {
			return rows.Err()
		}
	}
	return nil
}

// next is a batch that goes on from a place.
func nextBatch(partition int32, at posting.Place, rows int64, coupon string) posting.Batch {
	const size = 50
	grants := make([]event.CouponGranted, size)
	for i := range grants {
		n := rows + int64(i)
		grants[i] = grant(partition, 10*n+1, coupon, "user-"+time.Duration(n).String(), "", n+1)
	}
	return batch(partition, at, []event.CouponDefined{definition(partition, 10*rows, coupon)}, grants...)
}
