package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

// insertNew is the way after a unique violation: it writes what contradicts nothing, and finds out about the rest.
func insertNew(ctx context.Context, tx pgx.Tx, b posting.Batch) (written []event.CouponGranted, refused posting.Refused, err error) {
	for _, d := range b.Definitions {
		same, err := insertDefinition(ctx, tx, d)
		if err != nil {
			return nil, nil, fmt.Errorf("inserting a definition: %w", err)
		}
		if !same {
			refused = append(refused, *d.Source)
		}
	}
	if len(b.Grants) == 0 {
		return nil, refused, nil
	}
	columns, err := grantArrays(b.Grants)
	if err != nil {
		return nil, nil, err
	}
	fresh, err := sources(ctx, tx, insertGrants, columns)
	if err != nil {
		return nil, nil, fmt.Errorf("inserting grants: %w", err)
	}
	if len(fresh) == len(b.Grants) {
		return b.Grants, refused, nil
	}
	same, err := sources(ctx, tx, sameGrants, columns)
	if err != nil {
		return nil, nil, fmt.Errorf("comparing grants: %w", err)
	}
	for _, g := range b.Grants {
		if fresh[g.Source] {
			written = append(written, g)
		} else if !same[g.Source] {
			refused = append(refused, g.Source)
		}
	}
	return written, refused, nil
}

// insertDefinition tells whether the definition stands there now as it is given.
func insertDefinition(ctx context.Context, tx pgx.Tx, d event.CouponDefined) (bool, error) {
	row := definitionRow(d)
	const insert = `INSERT INTO definitions (source_partition, source_offset, coupon_id, "limit", "window", time_zone, opens_at, closes_at, rules, requested_at, log_time)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`
	if _, err := tx.Exec(ctx, insert, row...); err != nil {
		return false, err
	}
	const same = `SELECT EXISTS (SELECT FROM definitions WHERE source_partition = $1 AND source_offset = $2 AND
(coupon_id, "limit", "window", time_zone, opens_at, closes_at, rules, requested_at, log_time)
IS NOT DISTINCT FROM ($3::text, $4::bigint, $5::text, $6::text, $7::timestamptz, $8::timestamptz, $9::integer, $10::timestamptz, $11::timestamptz))`
	var ok bool
	err := tx.QueryRow(ctx, same, row...).Scan(&ok)
	return ok, err
}

const given = `unnest($1::integer[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::timestamptz[], $10::timestamptz[])`

const insertGrants = `INSERT INTO grants (source_partition, source_offset, grant_id, coupon_id, user_id, "window", sequence, "limit", requested_at, log_time)
SELECT * FROM ` + given + ` ON CONFLICT DO NOTHING RETURNING source_partition, source_offset`

const sameGrants = `SELECT g.source_partition, g.source_offset FROM ` + given + ` AS n (p, o, id, c, u, w, s, l, r, t)
JOIN grants g ON g.source_partition = n.p AND g.source_offset = n.o
WHERE (g.grant_id, g.coupon_id, g.user_id, g."window", g.sequence, g."limit", g.requested_at, g.log_time) = (n.id, n.c, n.u, n.w, n.s, n.l, n.r, n.t)`

func sources(ctx context.Context, tx pgx.Tx, sql string, columns []any) (map[event.Source]bool, error) {
	rows, err := tx.Query(ctx, sql, columns...)
	if err != nil {
		return nil, err
	}
	found := make(map[event.Source]bool)
	var s event.Source
	_, err = pgx.ForEachRow(rows, []any{&s.Partition, &s.Offset}, func() error {
		found[s] = true
		return nil
	})
	return found, err
}

// grantArrays are the grants column by column.
func grantArrays(grants []event.CouponGranted) ([]any, error) {
	n := len(grants)
	partitions, offsets, ids := make([]int32, n), make([]int64, n), make([][16]byte, n)
	coupons, users, windows := make([]string, n), make([]string, n), make([]string, n)
	sequences, limits := make([]int64, n), make([]int64, n)
	requested, logTimes := make([]time.Time, n), make([]time.Time, n)
	for i, g := range grants {
		id, err := parseUUID(g.GrantID)
		if err != nil {
			return nil, err
		}
		partitions[i], offsets[i], ids[i] = g.Source.Partition, g.Source.Offset, id
		coupons[i], users[i], windows[i] = g.CouponID, g.UserID, g.Window
		sequences[i], limits[i] = g.Sequence, g.Limit
		requested[i], logTimes[i] = g.RequestedAt, g.LogTime
	}
	return []any{partitions, offsets, ids, coupons, users, windows, sequences, limits, requested, logTimes}, nil
}
