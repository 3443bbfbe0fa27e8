package audit

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/internal/fcfs"
)

// ledger reads what Postgres holds of a partition beside the log, in pages. Each page is a snapshot of its own, with the
// partition's row of ledger_offsets in it, which says whether what is not there has still to come: so a ledger that is
// killed, or a database that is restored meanwhile, is waited for, and no transaction keeps Postgres from cleaning up.
type ledger struct {
	*look
	rows    []ledgerRow
	through int64 // sources up to this one are read
	place   ledgerPlace
	late    bool // what is missing was waited for already

	archives *archives
}

// ledgerRow is a row of definitions or of grants.
type ledgerRow struct {
	fact    fcfs.Fact
	grantID string
}

// ledgerPlace is a partition's row of ledger_offsets.
type ledgerPlace struct {
	known   bool
	next    int64 // of the journal
	highest int64 // source
}

func (p ledgerPlace) hasTaken(source, journalNext int64) bool {
	return p.known && (p.highest >= source || p.next >= journalNext)
}

// meet compares the rows of the requests up to those of a decision. journalNext is the journal offset after the record
// that it led to.
func (l *ledger) meet(ctx context.Context, d *decision, journalNext int64) error {
	archive := l.archives.of(d.fact)
	if archive != nil {
		if err := archive.take(l.requests, *d.fact); err != nil {
			return err
		}
	}
	for met := d.fact == nil || archive != nil; ; {
		if err := l.fill(ctx, d.last); err != nil {
			return err
		}
		if len(l.rows) == 0 || l.rows[0].fact.Source.Offset > d.last {
			if met {
				return nil
			}
			again, err := l.await(ctx, d.offset, journalNext)
			if err != nil {
				return err
			}
			if met = !again; met {
				l.add(missing(placePostgres, *d.fact))
			}
			continue
		}
		row := l.take()
		if !met && row.fact.Source.Offset == d.offset {
			l.compare(row, *d.fact)
			met = true
			continue
		}
		if archive != nil && row.fact.Source.Offset == d.offset {
			l.add(about(placePostgres, Twice, row.fact, "%s is there, though it was archived into the file %s", name(row.fact), archive.file))
			continue
		}
		l.add(extra(placePostgres, row.fact, d))
	}
}

func (l *ledger) take() ledgerRow {
	row := l.rows[0]
	l.rows = l.rows[1:]
	l.compared.PostgresRows++
	return row
}

func (l *ledger) compare(row ledgerRow, want fcfs.Fact) {
	if members := differing(want, row.fact); len(members) > 0 {
		l.add(about(placePostgres, Wrong, want, "%s is wrong: %s", name(want), strings.Join(members, ", ")))
	} else if id := fcfs.GrantID(l.requests, want.Source); want.Granted != nil && row.grantID != id {
		l.add(about(placePostgres, Wrong, want, "%s has the grant id %s, and it should be %s", name(want), row.grantID, id))
	}
}

// fill reads pages until there is a row or none is left up to a source.
func (l *ledger) fill(ctx context.Context, upTo int64) error {
	for len(l.rows) == 0 && l.through < upTo {
		if err := l.page(ctx, l.through); err != nil {
			return fmt.Errorf("reading Postgres: %w", err)
		}
	}
	return nil
}

// await waits until the ledger has taken the journal record that a row is made of, and reads the rows from there on once
// more. False: it had been taken when the rows were read, and the row is missing.
func (l *ledger) await(ctx context.Context, source, journalNext int64) (again bool, err error) {
	if l.late || l.place.hasTaken(source, journalNext) {
		return false, nil
	}
	came, err := l.until(ctx, func() (bool, error) {
		place, err := l.readPlace(ctx, l.Database)
		return place.hasTaken(source, journalNext), err
	})
	if err != nil {
		return false, fmt.Errorf("reading Postgres: %w", err)
	}
	if !came {
		l.behind(journalNext)
		return false, nil
	}
	l.rows, l.through = nil, source-1
	return true, nil
}

func (l *ledger) behind(journalNext int64) {
	l.late = true
	if !l.place.known {
		l.add(inPartition(placePostgres, Wrong, l.partition, "ledger_offsets has no row, and the journal ends at %d", journalNext))
		return
	}
	l.add(inPartition(placeLog, Behind, l.partition, "after %s the ledger is at journal offset %d, and the journal ends at %d", l.Timeout, l.place.next, journalNext))
}

// finish compares what is left up to progress, and the partition's row with the journal, of which more may have to be read.
func (l *ledger) finish(ctx context.Context, progress int64, j *journal) error {
	for {
		if err := l.fill(ctx, progress); err != nil {
			return err
		}
		if len(l.rows) == 0 || l.rows[0].fact.Source.Offset > progress {
			break
		}
		l.add(extra(placePostgres, l.take().fact, nil))
	}
	if err := l.awaitEnd(ctx, j.stream.Position()); err != nil {
		return err
	}
	l.bound.Ledger = l.place.next
	if !l.short {
		l.compareArchives()
	}
	if err := l.comparePlace(ctx, j); err != nil {
		return err
	}
	return l.readTop(ctx)
}

// readTop notes the last rows, which may say that they come from requests which the log does not have yet.
func (l *ledger) readTop(ctx context.Context) error {
	for _, table := range []string{"definitions", "grants"} {
		rows, err := l.Database.Query(ctx, `SELECT source_offset, coupon_id FROM `+table+`
			WHERE source_partition = $1 AND ($2::text[] IS NULL OR coupon_id = ANY($2)) ORDER BY source_offset DESC LIMIT 1`, l.partition, l.Coupons)
		if err != nil {
			return fmt.Errorf("reading Postgres: %w", err)
		}
		d := Difference{Place: placePostgres, Kind: Unfounded, Partition: l.partition}
		_, err = pgx.ForEachRow(rows, []any{&d.Offset, &d.CouponID}, func() error {
			d.Sentence = fmt.Sprintf("%s has a row of coupon %s that comes from source %d/%d", table, d.CouponID, l.partition, d.Offset)
			l.tops = append(l.tops, d)
			return nil
		})
		if err != nil {
			return fmt.Errorf("reading Postgres: %w", err)
		}
	}
	return nil
}

func (l *ledger) awaitEnd(ctx context.Context, journalNext int64) error {
	came, err := l.until(ctx, func() (_ bool, err error) {
		l.place, err = l.readPlace(ctx, l.Database)
		return l.late || l.place.next >= journalNext, err
	})
	if err != nil {
		return fmt.Errorf("reading Postgres: %w", err)
	}
	if !came {
		l.behind(journalNext)
	}
	return nil
}

func (l *ledger) comparePlace(ctx context.Context, j *journal) error {
	has, err := bounds(ctx, j.client, j.grants, j.partition)
	if err != nil {
		return err
	}
	switch p := l.place; {
	case !p.known || p.next < j.stream.Position(): // which was said, or there is nothing to have a row for
		return nil
	case p.next > has.end:
		l.add(inPartition(placePostgres, Wrong, l.partition, "ledger_offsets is at journal offset %d, and the journal ends at %d: this is another journal, or it lost its end", p.next, has.end))
		return nil
	default:
		j.stream.end = max(j.stream.end, p.next)
		if err := j.finish(ctx, l.bound.Progress); err != nil {
			return err
		}
		if p.highest != j.highest {
			l.add(inPartition(placePostgres, Wrong, l.partition, "ledger_offsets has the highest source %d at journal offset %d, and it should be %d", p.highest, p.next, j.highest))
		}
		return nil
	}
}

const pageRows = 5000

// page reads the rows of the sources after one.
func (l *ledger) page(ctx context.Context, after int64) error {
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, l.Database, snapshot, func(tx pgx.Tx) (err error) {
		if l.place, err = l.readPlace(ctx, tx); err != nil {
			return err
		}
		if err := l.sameArchives(ctx, tx); err != nil {
			return err
		}
		grants, err := l.readGrants(ctx, tx, after)
		if err != nil {
			return err
		}
		definitions, err := l.readDefinitions(ctx, tx, after)
		if err != nil {
			return err
		}
		l.rows, l.through = merge(definitions, grants)
		return nil
	})
}

// merge puts two full or last pages in order, as far as both go.
func merge(a, b []ledgerRow) (rows []ledgerRow, through int64) {
	through = math.MaxInt64
	for _, page := range [][]ledgerRow{a, b} {
		if len(page) == pageRows {
			through = min(through, page[pageRows-1].fact.Source.Offset)
		}
	}
	rows = make([]ledgerRow, 0, len(a)+len(b))
	for len(a) > 0 || len(b) > 0 {
		from := &a
		if len(a) == 0 || len(b) > 0 && b[0].fact.Source.Offset < a[0].fact.Source.Offset {
			from = &b
		}
		row := (*from)[0]
		if row.fact.Source.Offset > through {
			break
		}
		rows, *from = append(rows, row), (*from)[1:]
	}
	return rows, through
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (l *ledger) readPlace(ctx context.Context, db querier) (p ledgerPlace, err error) {
	rows, err := db.Query(ctx, `SELECT next_offset, highest_source FROM ledger_offsets WHERE partition = $1`, l.partition)
	if err != nil {
		return p, err
	}
	_, err = pgx.ForEachRow(rows, []any{&p.next, &p.highest}, func() error {
		p.known = true
		return nil
	})
	return p, err
}

func (l *ledger) readGrants(ctx context.Context, tx pgx.Tx, after int64) (all []ledgerRow, err error) {
	rows, err := tx.Query(ctx, `SELECT source_offset, grant_id::text, coupon_id, user_id, "window", sequence, "limit", requested_at, log_time
		FROM grants WHERE source_partition = $1 AND source_offset > $2 AND ($3::text[] IS NULL OR coupon_id = ANY($3)) ORDER BY source_offset LIMIT $4`,
		l.partition, after, l.Coupons, pageRows)
	if err != nil {
		return nil, err
	}
	var offset int64
	var id string
	var g fcfs.GrantFact
	var requested, logTime time.Time
	_, err = pgx.ForEachRow(rows, []any{&offset, &id, &g.CouponID, &g.UserID, &g.Window, &g.Sequence, &g.Limit, &requested, &logTime}, func() error {
		row := g
		all = append(all, ledgerRow{l.fact(offset, requested, logTime), id})
		all[len(all)-1].fact.Granted = &row
		return nil
	})
	return all, err
}

func (l *ledger) readDefinitions(ctx context.Context, tx pgx.Tx, after int64) (all []ledgerRow, err error) {
	rows, err := tx.Query(ctx, `SELECT source_offset, coupon_id, "limit", "window", time_zone, opens_at, closes_at, rules, requested_at, log_time
		FROM definitions WHERE source_partition = $1 AND source_offset > $2 AND ($3::text[] IS NULL OR coupon_id = ANY($3)) ORDER BY source_offset LIMIT $4`,
		l.partition, after, l.Coupons, pageRows)
	if err != nil {
		return nil, err
	}
	var offset int64
	var d fcfs.Definition
	var window string
	var opens, closes *time.Time
	var requested, logTime time.Time
	_, err = pgx.ForEachRow(rows, []any{&offset, &d.CouponID, &d.Limit, &window, &d.TimeZone, &opens, &closes, &d.Rules, &requested, &logTime}, func() error {
		row := d
		row.Window, row.OpensAt, row.ClosesAt = fcfs.Window(window), millis(opens), millis(closes)
		all = append(all, ledgerRow{fact: l.fact(offset, requested, logTime)})
		all[len(all)-1].fact.Defined = &row
		return nil
	})
	return all, err
}

func (l *ledger) fact(offset int64, requested, logTime time.Time) fcfs.Fact {
	return fcfs.Fact{Source: fcfs.Source{Partition: l.partition, Offset: offset}, RequestedAt: fcfs.FromTime(requested), LogTime: fcfs.FromTime(logTime)}
}

func millis(t *time.Time) fcfs.Millis {
	if t == nil {
		return 0
	}
	return fcfs.FromTime(*t)
}
