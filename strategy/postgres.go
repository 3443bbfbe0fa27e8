package strategy

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Postgres counts up a row as long as that stays within the limit, and writes down who got it, in one statement: a conditional
// UPDATE and a unique constraint, without any Redis.
//
// Guarantees: never more than the limit, never fewer while people ask, nobody twice, and what was answered is on disk (unless
// synchronous_commit is off). A server that dies leaves nothing half-done. This is so at each isolation level that the pool may
// be set to.
//
// Costs: one round trip and one commit to give one out, and the coupon's row is locked while it lasts: all servers together
// give out as many a second as the disk takes commits one after the other. Who asks again while some are left holds the row
// too, and leaves dead rows behind. Two round trips to refuse somebody once all are gone. Above READ COMMITTED who waits for the row is
// refused it by Postgres and tries again, once for each that is given out before.
//
// Schema (Migrate makes it): strategy.coupons, strategy.issued.
//
// Breaks:
//   - Inversion: who waits for the row gets it in the order in which Postgres wakes them up, and who has just come may find it
//     free before them.
//
// A Postgres that comes back older, from a backup or from a replica that was behind, gives again what it has forgotten.
type Postgres struct{ Pool *pgxpool.Pool }

const schema = `
CREATE SCHEMA IF NOT EXISTS strategy;
CREATE TABLE IF NOT EXISTS strategy.coupons (
	coupon_id text   PRIMARY KEY,
	stock     bigint NOT NULL CHECK (stock > 0), -- the limit
	issued    bigint NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS strategy.issued (
	coupon_id text   NOT NULL,
	user_id   text   NOT NULL,
	place     bigint NOT NULL, -- from 1, in the order of issue
	PRIMARY KEY (coupon_id, user_id),
	UNIQUE (coupon_id, place)
);`

// migrating is the advisory lock of Migrate, since two that create the same schema at once fail.
const migrating = 0x66697273746f6e65

// Migrate makes the schema where it is not there yet. Every server may call it at its start; who has no right to make a schema may
// where it is there.
func (p Postgres) Migrate(ctx context.Context) error {
	if p.Pool == nil {
		return errNoPool
	}
	err := pgx.BeginFunc(ctx, p.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrating)); err != nil {
			return err
		}
		var made bool
		err := tx.QueryRow(ctx, "SELECT to_regclass('strategy.issued') IS NOT NULL").Scan(&made)
		if err != nil || made {
			return err
		}
		_, err = tx.Exec(ctx, schema)
		return err
	})
	if err != nil {
		return fmt.Errorf("make the schema strategy: %w", err)
	}
	return nil
}

const claimStatement = `
WITH taken AS (
	UPDATE strategy.coupons SET issued = issued + 1
	WHERE coupon_id = $1 AND issued < stock
	RETURNING issued
)
INSERT INTO strategy.issued (coupon_id, user_id, place) SELECT $1, $2, issued FROM taken`

const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
)

// again does it until Postgres does not refuse it for what others did at the same time, which it does above READ COMMITTED.
func again(do func() error) error {
	for {
		err := do()
		var problem *pgconn.PgError
		if !errors.As(err, &problem) || problem.Code != serializationFailure {
			return err
		}
	}
}

// Claim is Issued once the commit is on disk, or refused.
func (p Postgres) Claim(ctx context.Context, couponID, userID string) (answer Answer, err error) {
	if err := p.check(couponID, userID); err != nil {
		return "", err
	}
	err = again(func() error {
		answer, err = p.claim(ctx, couponID, userID)
		return err
	})
	return answer, err
}

var errNoPool = fmt.Errorf("%w strategy: Pool is nil", ErrInvalid)

func (p Postgres) check(couponID string, userIDs ...string) error {
	if p.Pool == nil {
		return errNoPool
	}
	return checkIDs(couponID, userIDs...)
}

func (p Postgres) claim(ctx context.Context, couponID, userID string) (Answer, error) {
	done, err := p.Pool.Exec(ctx, claimStatement, couponID, userID)
	var problem *pgconn.PgError
	switch {
	case errors.As(err, &problem) && problem.Code == uniqueViolation && problem.ConstraintName == "issued_pkey":
		return "", ErrAlreadyIssued // and with the statement the count went back
	case err != nil:
		return "", fmt.Errorf("claim coupon %s: %w", couponID, err)
	case done.RowsAffected() == 0:
		return "", p.refuse(ctx, couponID, userID)
	}
	return Issued, nil
}

// refuse tells why nothing was taken.
func (p Postgres) refuse(ctx context.Context, couponID, userID string) error {
	var known, has bool
	err := p.Pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM strategy.coupons WHERE coupon_id = $1),
		EXISTS (SELECT FROM strategy.issued WHERE coupon_id = $1 AND user_id = $2)`, couponID, userID).Scan(&known, &has)
	switch {
	case err != nil:
		return fmt.Errorf("ask why coupon %s is refused: %w", couponID, err)
	case !known:
		return ErrCouponNotFound
	case has:
		return ErrAlreadyIssued
	}
	return ErrExhausted
}

// SetLimit writes the coupon's row.
func (p Postgres) SetLimit(ctx context.Context, couponID string, limit int64) error {
	if err := p.check(couponID); err != nil {
		return err
	}
	if err := checkLimit(couponID, limit); err != nil {
		return err
	}
	err := again(func() error {
		_, err := p.Pool.Exec(ctx, `INSERT INTO strategy.coupons (coupon_id, stock) VALUES ($1, $2)
			ON CONFLICT (coupon_id) DO UPDATE SET stock = excluded.stock`, couponID, limit)
		return err
	})
	if err != nil {
		return fmt.Errorf("set the limit of coupon %s: %w", couponID, err)
	}
	return nil
}

// Issued lists everyone in the order of issue.
func (p Postgres) Issued(ctx context.Context, couponID string) (users []string, err error) {
	if _, err := p.Remaining(ctx, couponID); err != nil {
		return nil, err
	}
	err = again(func() error {
		rows, err := p.Pool.Query(ctx, "SELECT user_id FROM strategy.issued WHERE coupon_id = $1 ORDER BY place", couponID)
		if err != nil {
			return err
		}
		users, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list who has coupon %s: %w", couponID, err)
	}
	return users, nil
}

// Remaining is the limit less who has one.
func (p Postgres) Remaining(ctx context.Context, couponID string) (left int64, err error) {
	if err := p.check(couponID); err != nil {
		return 0, err
	}
	err = again(func() error {
		return p.Pool.QueryRow(ctx, "SELECT greatest(0, stock - issued) FROM strategy.coupons WHERE coupon_id = $1", couponID).Scan(&left)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, ErrCouponNotFound
	case err != nil:
		return 0, fmt.Errorf("count what is left of coupon %s: %w", couponID, err)
	}
	return left, nil
}
