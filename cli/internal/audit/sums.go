package audit

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/pkg/event"
)

// compareSums compares the ledger's sums with its own grants and with what was archived of them, in one statement, so that one
// snapshot answers; and looks for rows of partitions that there are not.
func (a *auditor) compareSums(ctx context.Context, out *findings) error {
	archived, err := a.archivedSums(ctx)
	if err != nil {
		return err
	}
	rows, err := a.Database.Query(ctx, `
		SELECT coalesce(w.coupon_id, g.coupon_id), coalesce(w."window", g."window"), coalesce(w.granted, 0), coalesce(g.granted, 0), w.granted IS DISTINCT FROM g.granted
		FROM (SELECT * FROM coupon_windows WHERE $1::text[] IS NULL OR coupon_id = ANY($1)) w FULL JOIN (
			SELECT coupon_id, "window", sum(granted)::bigint AS granted, min(first) AS first, max(last) AS last FROM (
				SELECT coupon_id, "window", count(*) AS granted, min(requested_at) AS first, max(requested_at) AS last FROM grants GROUP BY coupon_id, "window"`+archived+`
			) here WHERE $1::text[] IS NULL OR coupon_id = ANY($1) GROUP BY coupon_id, "window"
		) g ON g.coupon_id = w.coupon_id AND g."window" = w."window"
		WHERE (w.granted, w.first_requested_at, w.last_requested_at) IS DISTINCT FROM (g.granted, g.first, g.last)
		ORDER BY 1, 2`, a.Coupons)
	if err != nil {
		return err
	}
	d := Difference{Place: placePostgres, Kind: Wrong, Partition: -1, Offset: -1}
	var sum, grants int64
	var count bool
	_, err = pgx.ForEachRow(rows, []any{&d.CouponID, &d.Window, &sum, &grants, &count}, func() error {
		d.Sentence = fmt.Sprintf("coupon_windows says that %d were granted of coupon %s, %sand there are %d rows", sum, d.CouponID, inWindow(d.Window), grants)
		if !count {
			d.Sentence = fmt.Sprintf("coupon_windows has, for coupon %s, %sother times of the first and last grant than the rows", d.CouponID, inWindow(d.Window))
		}
		out.add(d)
		return nil
	})
	if err != nil {
		return err
	}
	return a.findStrangers(ctx, out)
}

// archivedSums is the part of the statement for what was archived; none for a database of before there was any.
func (a *auditor) archivedSums(ctx context.Context) (string, error) {
	there, err := a.hasArchives(ctx)
	if err != nil || !there {
		return "", err
	}
	return ` UNION ALL SELECT coupon_id, "window", granted, first_requested_at, last_requested_at FROM archived`, nil
}

// findStrangers names rows of partitions that the topics don't have. Of single coupons, it names those of every partition
// but their own, since no other is read.
func (a *auditor) findStrangers(ctx context.Context, out *findings) error {
	for _, table := range []string{"definitions", "grants"} {
		if a.Coupons == nil {
			if err := a.strangers(ctx, out, table, `source_partition >= $1 OR source_partition < 0`, a.partitions); err != nil {
				return err
			}
		}
		for _, id := range a.Coupons {
			if err := a.strangers(ctx, out, table, `coupon_id = $1 AND source_partition <> $2`, id, event.Partition(id, a.partitions)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *auditor) strangers(ctx context.Context, out *findings, table, where string, args ...any) error {
	rows, err := a.Database.Query(ctx, `SELECT source_partition, count(*) FROM `+table+` WHERE `+where+` GROUP BY 1 ORDER BY 1`, args...)
	if err != nil {
		return err
	}
	d := Difference{Place: placePostgres, Kind: Unfounded, Offset: -1}
	var count int64
	_, err = pgx.ForEachRow(rows, []any{&d.Partition, &count}, func() error {
		d.Sentence = fmt.Sprintf("%s has %d rows of partition %d, where no request for their coupons can be", table, count, d.Partition)
		out.add(d)
		return nil
	})
	return err
}
