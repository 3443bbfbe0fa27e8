package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/pkg/event"
)

// Archive is a store whose windows are archived, by one session at a time.
type Archive struct {
	*Store
	lock *pgx.Conn // holds an advisory lock until it is closed, or until the process is gone
}

// Errors of archiving.
var (
	ErrArchiving = errors.New("another archive is running on this database")
	ErrChanged   = errors.New("the rows are not those that were exported")
	ErrTooOld    = errors.New("the database has no table for what was archived: start a ledger of this version once, which makes it")
)

// archiveLock is held by who archives, for as long as its session lives. That of a process that was killed is gone once
// Postgres has noticed, so it is waited for.
const archiveLock, archiveWait = `hashtextextended('firstcome archive', 0)`, `SET lock_timeout = '3s'`

// archiveIdle is how long a session may write a page into its file: a disk may be slow, and nobody waits for its snapshot.
const archiveIdle = 10 * time.Minute

// Archiving begins, and takes nothing from anybody yet; Close ends it.
func (s *Store) Archiving(ctx context.Context) (*Archive, error) {
	config, err := single(s.migrator.ConnString())
	if err != nil {
		return nil, err
	}
	config.ConnectTimeout = s.migrator.ConnectTimeout
	set(config, "application_name", "firstcome-archive")
	set(config, "statement_timeout", "0") // also where the role has one: a window may be large
	set(config, "idle_in_transaction_session_timeout", milliseconds(archiveIdle))
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	a := &Archive{s, conn}
	var there bool
	if err = conn.QueryRow(ctx, `SELECT to_regclass('archived') IS NOT NULL`).Scan(&there); err == nil && !there {
		err = ErrTooOld
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Lock keeps others from archiving: ErrArchiving where one of them does already.
func (a *Archive) Lock(ctx context.Context) error {
	for _, sql := range []string{archiveWait, `SELECT pg_advisory_lock(` + archiveLock + `)`, `RESET lock_timeout`} {
		if _, err := a.lock.Exec(ctx, sql); isLockTimeout(err) {
			return ErrArchiving
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Lost says that the session is gone, and the lock with it.
func (a *Archive) Lost() bool { return a.lock.IsClosed() }

// Close lets others archive. The store is the caller's to close.
func (a *Archive) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = a.lock.Exec(ctx, `SELECT pg_advisory_unlock_all()`) // the end of the session does it too, a moment later
	_ = a.lock.Close(ctx)
}

// Kept is a window whose grants are here.
type Kept struct {
	CouponID   string
	Definition event.CouponDefined // in force now
	Window     Window
	LogTime    time.Time // the highest that is known of its partition
}

const keptWindows = `SELECT w.coupon_id, w."window", w.granted FROM coupon_windows w
WHERE NOT EXISTS (SELECT FROM archived a WHERE a.coupon_id = w.coupon_id AND a."window" = w."window") ORDER BY w.coupon_id, w."window"`

const latestDefinitions = `SELECT DISTINCT ON (coupon_id) ` + definitionMembers + ` FROM definitions ORDER BY coupon_id, source_offset DESC`

// lastFacts are the last definition and grant of a partition: no log time of it is higher, among those that are known here.
const lastFacts = `SELECT (SELECT log_time FROM definitions WHERE source_partition = $1 ORDER BY source_offset DESC LIMIT 1),
(SELECT log_time FROM grants WHERE source_partition = $1 ORDER BY source_offset DESC LIMIT 1)`

// Kept gives all windows that were not archived, at one moment.
func (a *Archive) Kept(ctx context.Context) (all []Kept, err error) {
	err = a.look(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, latestDefinitions)
		definitions, err := pgx.CollectRows(rows, scanDefinition)
		if err != nil {
			return err
		}
		known := make(map[string]event.CouponDefined, len(definitions))
		logTimes := make(map[int32]time.Time)
		for _, d := range definitions {
			known[d.CouponID] = d
			if _, asked := logTimes[d.Source.Partition]; !asked {
				if logTimes[d.Source.Partition], err = logTimeOf(ctx, tx, d.Source.Partition); err != nil {
					return err
				}
			}
		}
		rows, _ = tx.Query(ctx, keptWindows)
		var k Kept
		_, err = pgx.ForEachRow(rows, []any{&k.CouponID, &k.Window.Window, &k.Window.Granted}, func() error {
			d, ok := known[k.CouponID]
			if !ok {
				return fmt.Errorf("coupon %s has grants and no definition", k.CouponID)
			}
			k.Definition, k.LogTime = d, logTimes[d.Source.Partition]
			all = append(all, k)
			return nil
		})
		return err
	})
	return all, err
}

func logTimeOf(ctx context.Context, tx pgx.Tx, partition int32) (time.Time, error) {
	var defined, granted *time.Time
	err := tx.QueryRow(ctx, lastFacts, partition).Scan(&defined, &granted)
	latest := utc(defined)
	if t := utc(granted); t.After(latest) {
		latest = t
	}
	return latest, err
}

// look is a transaction that sees one moment, and may take its time.
func (a *Archive) look(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, a.lock, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, do)
}

// Fingerprint tells one set of rows from another.
type Fingerprint struct {
	Rows int64
	sum  string
}

// The fingerprint is of the rows whose hashes a statement names gone; the order in which they come is the same to it. No row
// leaves its page for it: of those that are dropped, Postgres keeps the hashes alone until it has added them up.
const (
	hashOf   = `hashtextextended(g::text, 0) AS h`
	addedUp  = ` SELECT count(*), coalesce(sum(h::numeric), 0)::text FROM gone`
	hashKept = `WITH gone AS (SELECT ` + hashOf + ` FROM grants g WHERE g.coupon_id = $1 AND g."window" = $2)` + addedUp
	dropKept = `WITH gone AS (DELETE FROM grants g WHERE g.coupon_id = $1 AND g."window" = $2 RETURNING ` + hashOf + `)` + addedUp
)

const exportPage = 10_000

// Export gives the grants of a window in the order of their sequences, all as of one moment.
func (a *Archive) Export(ctx context.Context, couponID, window string, each func(event.CouponGranted) error) (p Fingerprint, err error) {
	err = a.look(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, hashKept, couponID, window).Scan(&p.Rows, &p.sum); err != nil {
			return err
		}
		f := Filter{CouponID: &couponID, Window: &window, Limit: exportPage}
		for {
			sql, args := f.query(span{})
			rows, _ := tx.Query(ctx, sql, args...)
			page, err := pgx.CollectRows(rows, scanGrant)
			if err != nil {
				return err
			}
			for _, g := range page {
				if err := each(g); err != nil {
					return err
				}
			}
			if len(page) < f.Limit {
				return nil
			}
			f.After = &Position{couponID, window, page[len(page)-1].Sequence}
		}
	})
	return p, err
}

// Archived is a row of archived.
type Archived struct {
	CouponID string
	Window   Window // its File is that of the grants
	Checksum [32]byte
}

// Drop deletes a window's grants and notes where they are, in one transaction: ErrChanged, and nothing happens, where they
// are not exactly those of which the fingerprint was taken.
func (a *Archive) Drop(ctx context.Context, row Archived, exported Fingerprint) error {
	return pgx.BeginFunc(ctx, a.lock, func(tx pgx.Tx) error {
		const note = `INSERT INTO archived (coupon_id, "window", granted, first_requested_at, last_requested_at, checksum, file) VALUES ($1, $2, $3, $4, $5, $6, $7)`
		w := row.Window
		if _, err := tx.Exec(ctx, note, row.CouponID, w.Window, w.Granted, w.First, w.Last, row.Checksum[:], w.File); err != nil {
			return err
		}
		var gone Fingerprint
		if err := tx.QueryRow(ctx, dropKept, row.CouponID, w.Window).Scan(&gone.Rows, &gone.sum); err != nil {
			return err
		}
		if gone != exported {
			return ErrChanged
		}
		return nil
	})
}
