package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// No key of owners keeps a grant from being there twice, and none is needed: a sum would be as exact. journal_offsets says
// where to read on in each partition, and the highest source of what was read.
const schema = `
CREATE TABLE IF NOT EXISTS owners (
	n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	grant_id uuid NOT NULL, coupon_id text NOT NULL, user_id text NOT NULL,
	"window" text NOT NULL, sequence bigint NOT NULL, requested_at timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS journal_offsets (
	partition int PRIMARY KEY, next_offset bigint NOT NULL, highest_source bigint NOT NULL);`

var columns = []string{"grant_id", "coupon_id", "user_id", "window", "sequence", "requested_at"}

// open makes the tables where they are missing. The lock is for processes that start together, the time-out for one that
// stands still within a transaction: the others would wait for it.
func open(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "10s"
	db, err := pgxpool.NewWithConfig(ctx, config)
	if err == nil {
		_, err = db.Exec(ctx, `BEGIN; SELECT pg_advisory_xact_lock(hashtext('journal_offsets'));`+schema+`COMMIT`)
	}
	return db, err
}

// table is the handler. It remembers where it left the row of each partition, to see whether it was moved since.
type table struct {
	db     *pgxpool.Pool
	places sync.Map // of int32 to place
}

// place is a row of journal_offsets.
type place struct{ next, highest int64 }

// Assigned says where to begin: at the row, which is made where there is none.
func (t *table) Assigned(ctx context.Context, partition int32) (consumer.Start, error) {
	const begin = `INSERT INTO journal_offsets VALUES ($1, 0, $2) ON CONFLICT DO NOTHING`
	if _, err := t.db.Exec(ctx, begin, partition, consumer.NoSource); err != nil {
		return consumer.Start{}, err
	}
	at, err := t.look(ctx, partition)
	t.places.Store(partition, at)
	return consumer.From(at.next, at.highest), err
}

func (t *table) look(ctx context.Context, partition int32) (at place, err error) {
	const look = `SELECT next_offset, highest_source FROM journal_offsets WHERE partition = $1`
	err = t.db.QueryRow(ctx, look, partition).Scan(&at.next, &at.highest)
	return at, err
}

// Handle writes a batch and moves the row, all or nothing.
func (t *table) Handle(ctx context.Context, b consumer.Batch) error {
	rows, err := rowsOf(b.Records)
	if err != nil {
		return err
	}
	from, _ := t.places.Load(b.Partition)
	to := place{b.Next, b.HighestSource}
	err = pgx.BeginFunc(ctx, t.db, func(tx pgx.Tx) error {
		if err := move(ctx, tx, b.Partition, from.(place), to); err != nil {
			return err
		}
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"owners"}, columns, pgx.CopyFromRows(rows))
		return err
	})
	if err == nil {
		t.places.Store(b.Partition, to)
	}
	return err
}

// move comes first: it locks the row and compares it. Who was paused while another process went on changes nothing.
func move(ctx context.Context, tx pgx.Tx, partition int32, from, to place) error {
	const move = `UPDATE journal_offsets SET next_offset = $4, highest_source = $5
		WHERE partition = $1 AND next_offset = $2 AND highest_source = $3`
	moved, err := tx.Exec(ctx, move, partition, from.next, from.highest, to.next, to.highest)
	if err == nil && moved.RowsAffected() == 0 {
		return consumer.ErrReassign // begin again with Assigned
	}
	return err
}

// rowsOf takes the grants. One that can't be read keeps its partition waiting, and the log says which.
func rowsOf(records []event.Record) (rows [][]any, err error) {
	for _, r := range records {
		e, err := event.Decode(r)
		var unreadable *event.DecodeError
		if errors.As(err, &unreadable) && unreadable.Reason != event.ReasonUnknownType {
			return nil, fmt.Errorf("offset %d: %w", r.Offset, err)
		}
		if g, ok := e.Data.(event.CouponGranted); ok {
			rows = append(rows, []any{g.GrantID, g.CouponID, g.UserID, g.Window, g.Sequence, g.RequestedAt})
		}
	}
	return rows, nil
}

// Idle is called about every second while nothing comes: a database that was restored from its backup catches up by itself.
func (t *table) Idle(ctx context.Context, partition int32) error {
	at, err := t.look(ctx, partition)
	if from, _ := t.places.Load(partition); err == nil && from != any(at) {
		return consumer.ErrReassign
	}
	return err
}

// Revoked has nothing to do: what another process writes shows in the row.
func (t *table) Revoked(int32) {}
