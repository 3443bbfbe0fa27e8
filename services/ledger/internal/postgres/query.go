package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/pkg/event"
)

// Position is a place in the order of grants: coupon, window, sequence.
type Position struct {
	CouponID, Window string
	Sequence         int64
}

// Filter chooses grants; what is nil is not asked for. Window "" is that of coupons that are given once.
type Filter struct {
	CouponID, UserID, Window *string
	After                    *Position // exclusive
	Limit                    int       // at least 1
}

const grantMembers = `g.grant_id, g.coupon_id, g.user_id, g."window", g.sequence, g."limit", g.requested_at, g.log_time, g.source_partition, g.source_offset`

// query is the statement for a filter. Each form of it walks one index in the order of the answer, from After on, and
// stops after Limit rows.
func (f Filter) query() (string, []any) {
	q := &statement{}
	switch {
	case f.UserID != nil:
		// grants_person: a person has at most one grant in a coupon and window, so sequence adds nothing to the order.
		q.where("g.user_id = %s", *f.UserID)
		q.equal("g.coupon_id", f.CouponID)
		q.equal(`g."window"`, f.Window)
		if f.After != nil {
			q.where(`(g.coupon_id, g."window") > (%s, %s)`, f.After.CouponID, f.After.Window)
		}
		return q.sql(`SELECT `+grantMembers+` FROM grants g`, ` ORDER BY g.coupon_id, g."window"`, f.Limit)
	case f.Window != nil && f.CouponID == nil:
		return f.windowQuery()
	}
	q.equal("g.coupon_id", f.CouponID)
	q.equal(`g."window"`, f.Window)
	if f.After != nil {
		q.where(`(g.coupon_id, g."window", g.sequence) > (%s, %s, %s)`, f.After.CouponID, f.After.Window, f.After.Sequence)
	}
	return q.sql(`SELECT `+grantMembers+` FROM grants g`, ` ORDER BY g.coupon_id, g."window", g.sequence`, f.Limit)
}

// windowQuery is one day of all coupons: coupon by coupon in their order, each from grants_sequence.
func (f Filter) windowQuery() (string, []any) {
	q := &statement{}
	window, limit := q.arg(*f.Window), q.arg(f.Limit)
	coupons, grants := `"window" = `+window, `g.coupon_id = w.coupon_id AND g."window" = `+window
	if a := f.After; a != nil {
		coupon := q.arg(a.CouponID)
		coupons += ` AND coupon_id >= ` + coupon
		grants += fmt.Sprintf(` AND (g.coupon_id, g."window", g.sequence) > (%s, %s, %s)`, coupon, q.arg(a.Window), q.arg(a.Sequence))
	}
	return `SELECT g.* FROM (SELECT coupon_id FROM coupon_windows WHERE ` + coupons + ` ORDER BY coupon_id) w
CROSS JOIN LATERAL (SELECT ` + grantMembers + ` FROM grants g WHERE ` + grants + ` ORDER BY g.sequence LIMIT ` + limit + `) g
ORDER BY w.coupon_id, g.sequence LIMIT ` + limit, q.args
}

// statement gathers conditions and their arguments.
type statement struct {
	conditions []string
	args       []any
}

func (q *statement) arg(v any) string {
	q.args = append(q.args, v)
	return fmt.Sprintf("$%d", len(q.args))
}

func (q *statement) where(condition string, values ...any) {
	places := make([]any, len(values))
	for i, v := range values {
		places[i] = q.arg(v)
	}
	q.conditions = append(q.conditions, fmt.Sprintf(condition, places...))
}

func (q *statement) equal(column string, value *string) {
	if value != nil {
		q.where(column+" = %s", *value)
	}
}

func (q *statement) sql(from, order string, limit int) (string, []any) {
	var where string
	if len(q.conditions) > 0 {
		where = " WHERE " + strings.Join(q.conditions, " AND ")
	}
	return from + where + order + " LIMIT " + q.arg(limit), q.args
}

// Grants are the grants that a filter chooses, ordered by coupon, window and sequence.
func (s *Store) Grants(ctx context.Context, f Filter) ([]event.CouponGranted, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	sql, args := f.query()
	rows, err := s.read.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanGrant)
}

func scanGrant(row pgx.CollectableRow) (g event.CouponGranted, err error) {
	var id [16]byte
	err = row.Scan(&id, &g.CouponID, &g.UserID, &g.Window, &g.Sequence, &g.Limit, &g.RequestedAt, &g.LogTime, &g.Source.Partition, &g.Source.Offset)
	g.GrantID, g.RequestedAt, g.LogTime = formatUUID(id), g.RequestedAt.UTC(), g.LogTime.UTC()
	return g, err
}

// Coupon is what the ledger knows of one coupon.
type Coupon struct {
	Definitions []event.CouponDefined // in the order of the log
	Windows     []Window              // in their order
}

// Window is what was granted in one window; it has at least one grant.
type Window struct {
	Window      string
	Granted     int64
	First, Last time.Time // append times of the requests
}

const definitionsOf = `SELECT coupon_id, "limit", "window", time_zone, opens_at, closes_at, rules, requested_at, log_time, source_partition, source_offset
FROM definitions WHERE coupon_id = $1 ORDER BY source_offset`

const windowsOf = `SELECT "window", granted, first_requested_at, last_requested_at FROM coupon_windows WHERE coupon_id = $1 ORDER BY "window"`

// Coupon is one look at a coupon; without definitions it is not known.
func (s *Store) Coupon(ctx context.Context, id string) (c Coupon, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, s.read, options, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, definitionsOf, id)
		if c.Definitions, err = pgx.CollectRows(rows, scanDefinition); err != nil {
			return err
		}
		rows, _ = tx.Query(ctx, windowsOf, id)
		c.Windows, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w Window, err error) {
			err = row.Scan(&w.Window, &w.Granted, &w.First, &w.Last)
			w.First, w.Last = w.First.UTC(), w.Last.UTC()
			return w, err
		})
		return err
	})
	return c, err
}

func scanDefinition(row pgx.CollectableRow) (event.CouponDefined, error) {
	d := event.CouponDefined{Source: &event.Source{}}
	var opens, closes *time.Time
	err := row.Scan(&d.CouponID, &d.Limit, &d.Window, &d.TimeZone, &opens, &closes, &d.Rules, &d.RequestedAt, &d.LogTime, &d.Source.Partition, &d.Source.Offset)
	d.OpensAt, d.ClosesAt, d.RequestedAt, d.LogTime = utc(opens), utc(closes), d.RequestedAt.UTC(), d.LogTime.UTC()
	return d, err
}

func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// Defined tells whether a coupon is known.
func (s *Store) Defined(ctx context.Context, couponID string) (ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = s.read.QueryRow(ctx, definedCoupon, couponID).Scan(&ok)
	return ok, err
}

const definedCoupon = `SELECT EXISTS (SELECT FROM definitions WHERE coupon_id = $1)`
