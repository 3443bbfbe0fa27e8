package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

// Position is a place in the order of grants: coupon, window, sequence.
type Position struct {
	CouponID, Window string
	Sequence         int64
}

// Filter chooses grants; what is nil is not asked for. Window "" is that of coupons that are given once. GrantID is a grant
// id as fcfs.ParseGrantID reads it. From and To bound the log time, and need CouponID and Window. After is a grant that the
// filter chooses.
type Filter struct {
	CouponID, UserID, Window, GrantID *string
	From, To                          *time.Time // To is exclusive
	After                             *Position  // exclusive
	Limit                             int        // at least 1
}

const grantMembers = `g.grant_id, g.coupon_id, g.user_id, g."window", g.sequence, g."limit", g.requested_at, g.log_time, g.source_partition, g.source_offset`

// query is the statement for a filter. Each form of it walks one index in the order of the answer, from After on, and
// stops after Limit rows. Columns that the filter fixes stay out of the comparison with After: the planner would multiply
// the two estimates, take what follows for a few rows, and sort all of them.
func (f Filter) query(within span) (string, []any) {
	if f.Window != nil && f.CouponID == nil && f.UserID == nil && f.GrantID == nil {
		return f.windowQuery()
	}
	q := &statement{}
	q.grant(f.GrantID)
	q.between("g.sequence", within)
	q.equal("g.user_id", f.UserID)
	q.equal("g.coupon_id", f.CouponID)
	q.equal(`g."window"`, f.Window)
	order := []string{"g.coupon_id", `g."window"`, "g.sequence"} // grants_sequence
	if f.UserID != nil {
		order = order[:2] // grants_person: at most one grant in a coupon and window
	}
	if f.After != nil {
		fixed := 0
		if f.CouponID != nil {
			if fixed = 1; f.Window != nil {
				fixed = 2
			}
		}
		q.after(order, fixed, f.After)
	}
	return q.sql(`SELECT `+grantMembers+` FROM grants g`, ` ORDER BY `+strings.Join(order, ", "), f.Limit)
}

// after compares the columns of the order, but for the first ones, which are fixed.
func (q *statement) after(order []string, fixed int, p *Position) {
	values := []any{p.CouponID, p.Window, p.Sequence}[:len(order)]
	if fixed == len(order) { // one grant, and it is not after itself
		q.conditions = append(q.conditions, "false")
		return
	}
	places := make([]string, 0, len(order))
	for _, v := range values[fixed:] {
		places = append(places, q.arg(v))
	}
	q.conditions = append(q.conditions, "("+strings.Join(order[fixed:], ", ")+") > ("+strings.Join(places, ", ")+")")
}

// windowQuery is one day of all coupons: coupon by coupon in their order, each from grants_sequence.
func (f Filter) windowQuery() (string, []any) {
	q := &statement{}
	window, limit := q.arg(*f.Window), q.arg(f.Limit)
	coupons, from := `"window" = `+window, "0"
	if f.After != nil {
		coupon := q.arg(f.After.CouponID)
		coupons += ` AND coupon_id >= ` + coupon
		from = `CASE WHEN w.coupon_id = ` + coupon + ` THEN ` + q.arg(f.After.Sequence) + `::bigint ELSE 0 END`
	}
	return `SELECT g.* FROM (SELECT coupon_id FROM coupon_windows WHERE ` + coupons + ` ORDER BY coupon_id) w
CROSS JOIN LATERAL (SELECT ` + grantMembers + ` FROM grants g WHERE g.coupon_id = w.coupon_id AND g."window" = ` + window + `
AND g.sequence > ` + from + ` ORDER BY g.sequence LIMIT ` + limit + `) g
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

func (q *statement) equal(column string, value *string) {
	if value != nil {
		q.conditions = append(q.conditions, column+" = "+q.arg(*value))
	}
}

// grant asks for one grant by the place that its id names, which is the primary key.
func (q *statement) grant(id *string) {
	if id == nil {
		return
	}
	source, _, err := fcfs.ParseGrantID(*id)
	if err != nil {
		q.conditions = append(q.conditions, "false")
		return
	}
	q.conditions = append(q.conditions, "g.source_partition = "+q.arg(source.Partition), "g.source_offset = "+q.arg(source.Offset), "g.grant_id = "+q.arg(*id))
}

func (q *statement) between(column string, within span) {
	if within.first > 1 {
		q.conditions = append(q.conditions, column+" >= "+q.arg(within.first))
	}
	if within.end > 0 {
		q.conditions = append(q.conditions, column+" < "+q.arg(within.end))
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
	within, err := s.between(ctx, f)
	if err != nil {
		return nil, err
	}
	sql, args := f.query(within)
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
	File        string    // where its grants were archived; "": they are here
}

const definitionMembers = `coupon_id, "limit", "window", time_zone, opens_at, closes_at, rules, requested_at, log_time, source_partition, source_offset`

const definitionsOf = `SELECT ` + definitionMembers + ` FROM definitions WHERE coupon_id = $1 ORDER BY source_offset`

const windowsOf = `SELECT w."window", w.granted, w.first_requested_at, w.last_requested_at, coalesce(a.file, '')
FROM coupon_windows w LEFT JOIN archived a ON a.coupon_id = w.coupon_id AND a."window" = w."window" WHERE w.coupon_id = $1 ORDER BY w."window"`

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
			err = row.Scan(&w.Window, &w.Granted, &w.First, &w.Last, &w.File)
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
