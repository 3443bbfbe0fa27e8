package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

// Write is posting.Store's. It copies the batch; after a unique violation it begins again and inserts what is not there,
// which tells what contradicts.
func (s *Store) Write(ctx context.Context, b posting.Batch, settle func(context.Context, posting.Refused) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := s.inTransaction(ctx, b, copyAll, settle)
	if isUniqueViolation(err) {
		err = s.inTransaction(ctx, b, insertNew, settle)
	}
	if isLockTimeout(err) {
		err = s.endStalled(ctx, err)
	}
	return told(err)
}

// A writer writes a batch's records and gives the grants that were not there before, and what it refused.
type writer func(ctx context.Context, tx pgx.Tx, b posting.Batch) ([]event.CouponGranted, posting.Refused, error)

func (s *Store) inTransaction(ctx context.Context, b posting.Batch, write writer, settle func(context.Context, posting.Refused) error) error {
	return pgx.BeginFunc(ctx, s.write, func(tx pgx.Tx) error {
		at, err := place(ctx, tx, b.Partition, "FOR UPDATE")
		if err != nil {
			return err
		}
		if !at.Equal(b.From) {
			return posting.ErrMoved
		}
		written, refused, err := write(ctx, tx, b)
		if err != nil {
			return err
		}
		if err := settle(ctx, refused); err != nil {
			return err
		}
		return finish(ctx, tx, b, written)
	})
}

// finish adds to the sums and moves the row, in one round trip.
func finish(ctx context.Context, tx pgx.Tx, b posting.Batch, written []event.CouponGranted) error {
	batch := &pgx.Batch{}
	for _, w := range sums(written) {
		batch.Queue(addToWindow, w.couponID, w.window, w.granted, w.first, w.last)
	}
	var offset *int64
	var at *time.Time
	if last := b.To.Last; last != nil {
		offset, at = &last.Offset, &last.Time
	}
	batch.Queue(`UPDATE ledger_offsets SET next_offset = $2, highest_source = $3, last_offset = $4, last_time = $5 WHERE partition = $1`,
		b.Partition, b.To.Next, b.To.HighestSource, offset, at)
	return tx.SendBatch(ctx, batch).Close()
}

const addToWindow = `INSERT INTO coupon_windows AS w (coupon_id, "window", granted, first_requested_at, last_requested_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (coupon_id, "window") DO UPDATE SET granted = w.granted + excluded.granted,
  first_requested_at = least(w.first_requested_at, excluded.first_requested_at),
  last_requested_at = greatest(w.last_requested_at, excluded.last_requested_at)`

type sum struct {
	couponID, window string
	granted          int64
	first, last      time.Time
}

// sums are in one order, so that no two transactions can wait for each other.
func sums(grants []event.CouponGranted) []sum {
	type key struct{ couponID, window string }
	at := make(map[key]int)
	var all []sum
	for _, g := range grants {
		k := key{g.CouponID, g.Window}
		i, ok := at[k]
		if !ok {
			i = len(all)
			at[k] = i
			all = append(all, sum{g.CouponID, g.Window, 0, g.RequestedAt, g.RequestedAt})
		}
		w := &all[i]
		w.granted++
		if g.RequestedAt.Before(w.first) {
			w.first = g.RequestedAt
		}
		if g.RequestedAt.After(w.last) {
			w.last = g.RequestedAt
		}
	}
	slices.SortFunc(all, func(a, b sum) int {
		if c := strings.Compare(a.couponID, b.couponID); c != 0 {
			return c
		}
		return strings.Compare(a.window, b.window)
	})
	return all
}

func isUniqueViolation(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "23505"
}

// copyAll is the ordinary way. The row is exact, so nothing of the batch can be there yet.
func copyAll(ctx context.Context, tx pgx.Tx, b posting.Batch) ([]event.CouponGranted, posting.Refused, error) {
	if len(b.Definitions) > 0 {
		rows := pgx.CopyFromSlice(len(b.Definitions), func(i int) ([]any, error) { return definitionRow(b.Definitions[i]), nil })
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"definitions"}, definitionColumns, rows); err != nil {
			return nil, nil, fmt.Errorf("copying definitions: %w", err)
		}
	}
	if len(b.Grants) > 0 {
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"grants"}, grantColumns, newGrantRows(b.Grants)); err != nil {
			return nil, nil, fmt.Errorf("copying grants: %w", err)
		}
	}
	return b.Grants, nil, nil
}
