package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/firstcome/firstcome/internal/fcfs"
)

// ledgerState is what Postgres holds of a partition.
type ledgerState struct {
	known    bool  // it has a row of ledger_offsets
	next     int64 // of the journal
	highest  int64 // source
	lastTime *time.Time
	facts    facts
	grantIDs map[int64]string
}

// readLedger reads a partition in one snapshot of the database, up to a source.
func readLedger(ctx context.Context, db *pgxpool.Pool, partition int32, upTo int64) (ledgerState, error) {
	s := ledgerState{facts: facts{}, grantIDs: map[int64]string{}, highest: -1}
	err := pgx.BeginTxFunc(ctx, db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := s.readOffset(ctx, tx, partition); err != nil {
			return err
		}
		if err := s.readDefinitions(ctx, tx, partition, upTo); err != nil {
			return err
		}
		return s.readGrants(ctx, tx, partition, upTo)
	})
	return s, err
}

func (s *ledgerState) readOffset(ctx context.Context, tx pgx.Tx, partition int32) error {
	rows, err := tx.Query(ctx, `SELECT next_offset, highest_source, last_time FROM ledger_offsets WHERE partition = $1`, partition)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, []any{&s.next, &s.highest, &s.lastTime}, func() error {
		s.known = true
		return nil
	})
	return err
}

func (s *ledgerState) readDefinitions(ctx context.Context, tx pgx.Tx, partition int32, upTo int64) error {
	rows, err := tx.Query(ctx, `SELECT source_offset, coupon_id, "limit", "window", time_zone, opens_at, closes_at, rules, requested_at, log_time
		FROM definitions WHERE source_partition = $1 AND source_offset <= $2`, partition, upTo)
	if err != nil {
		return err
	}
	var offset int64
	var d fcfs.Definition
	var name string
	var opens, closes *time.Time
	var requested, logTime time.Time
	_, err = pgx.ForEachRow(rows, []any{&offset, &d.CouponID, &d.Limit, &name, &d.TimeZone, &opens, &closes, &d.Rules, &requested, &logTime}, func() error {
		row := d
		row.Window, row.OpensAt, row.ClosesAt = fcfs.Window(name), millis(opens), millis(closes)
		s.facts[offset] = fcfs.Fact{
			Source: fcfs.Source{Partition: partition, Offset: offset}, RequestedAt: fcfs.FromTime(requested), LogTime: fcfs.FromTime(logTime), Defined: &row,
		}
		return nil
	})
	return err
}

func (s *ledgerState) readGrants(ctx context.Context, tx pgx.Tx, partition int32, upTo int64) error {
	rows, err := tx.Query(ctx, `SELECT source_offset, grant_id::text, coupon_id, user_id, "window", sequence, "limit", requested_at, log_time
		FROM grants WHERE source_partition = $1 AND source_offset <= $2`, partition, upTo)
	if err != nil {
		return err
	}
	var offset int64
	var id string
	var g fcfs.GrantFact
	var requested, logTime time.Time
	_, err = pgx.ForEachRow(rows, []any{&offset, &id, &g.CouponID, &g.UserID, &g.Window, &g.Sequence, &g.Limit, &requested, &logTime}, func() error {
		row := g
		if other, ok := s.facts[offset]; ok {
			return fmt.Errorf("source %d/%d is both %s and a grant", partition, offset, name(other))
		}
		s.grantIDs[offset] = id
		s.facts[offset] = fcfs.Fact{
			Source: fcfs.Source{Partition: partition, Offset: offset}, RequestedAt: fcfs.FromTime(requested), LogTime: fcfs.FromTime(logTime), Granted: &row,
		}
		return nil
	})
	return err
}

func millis(t *time.Time) fcfs.Millis {
	if t == nil {
		return 0
	}
	return fcfs.FromTime(*t)
}

// compareLedger compares rows, grant ids and the partition's offset row. journal is what was read of the journal.
func compareLedger(requestsTopic string, want facts, journal journalState, s ledgerState) []Difference {
	out := compareFacts(placePostgres, want, s.facts)
	for _, offset := range s.facts.sorted() {
		f := s.facts[offset]
		if id := fcfs.GrantID(requestsTopic, f.Source); f.Granted != nil && s.grantIDs[offset] != id {
			out = append(out, about(placePostgres, f, "%s has the grant id %s, and it should be %s", name(f), s.grantIDs[offset], id))
		}
	}
	partition := journal.partition
	switch highest := journal.highestBelow(s.next); {
	case !s.known && len(journal.records) > 0:
		out = append(out, inPartition(placePostgres, partition, "ledger_offsets has no row"))
	case s.known && s.next > journal.end:
		out = append(out, inPartition(placePostgres, partition, "ledger_offsets is at journal offset %d, and the journal ends at %d", s.next, journal.end))
	case s.known && s.highest != highest:
		out = append(out, inPartition(placePostgres, partition, "ledger_offsets has the highest source %d at journal offset %d, and it should be %d", s.highest, s.next, highest))
	}
	return out
}

// compareSums compares the ledger's sums with its own grants, in one statement, so that one snapshot answers.
func compareSums(ctx context.Context, db *pgxpool.Pool) ([]Difference, error) {
	rows, err := db.Query(ctx, `
		SELECT coalesce(w.coupon_id, g.coupon_id), coalesce(w."window", g."window"), coalesce(w.granted, 0), coalesce(g.granted, 0), w.granted IS DISTINCT FROM g.granted
		FROM coupon_windows w FULL JOIN (
			SELECT coupon_id, "window", count(*) AS granted, min(requested_at) AS first, max(requested_at) AS last FROM grants GROUP BY coupon_id, "window"
		) g ON g.coupon_id = w.coupon_id AND g."window" = w."window"
		WHERE (w.granted, w.first_requested_at, w.last_requested_at) IS DISTINCT FROM (g.granted, g.first, g.last)
		ORDER BY 1, 2`)
	if err != nil {
		return nil, err
	}
	var out []Difference
	var d Difference
	var sum, grants int64
	var count bool
	_, err = pgx.ForEachRow(rows, []any{&d.CouponID, &d.Window, &sum, &grants, &count}, func() error {
		sentence := fmt.Sprintf("coupon_windows says that %d were granted of coupon %s, %sand there are %d rows", sum, d.CouponID, inWindow(d.Window), grants)
		if !count {
			sentence = fmt.Sprintf("coupon_windows has, for coupon %s, %sother times of the first and last grant than the rows", d.CouponID, inWindow(d.Window))
		}
		out = append(out, Difference{Place: placePostgres, Partition: -1, Offset: -1, CouponID: d.CouponID, Window: d.Window, Sentence: sentence})
		return nil
	})
	return out, err
}
