package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

// errArchived says that a window was archived while its partition was read: what was read before does not tell the whole.
var errArchived = errors.New("windows were archived meanwhile")

type windowKey struct{ couponID, window string }

// archives are the windows of a partition whose grants the ledger has taken out of its tables, and what the log leads to in
// their place: as many grants, with the same checksum.
type archives struct {
	windows map[windowKey]*archivedWindow
	there   bool // the table
	count   int  // of its rows
}

type archivedWindow struct {
	granted  int64
	checksum string
	file     string

	decided int64 // grants that the log leads to
	sum     hash.Hash
}

// readArchives reads them all. A database of before they were has none.
func (l *look) readArchives(ctx context.Context) (*archives, error) {
	a := &archives{windows: map[windowKey]*archivedWindow{}}
	var err error
	if a.there, err = l.hasArchives(ctx); err != nil || !a.there {
		return a, err
	}
	rows, err := l.Database.Query(ctx, `SELECT coupon_id, "window", granted, encode(checksum, 'hex'), file FROM archived`)
	if err != nil {
		return nil, err
	}
	var k windowKey
	var row archivedWindow
	_, err = pgx.ForEachRow(rows, []any{&k.couponID, &k.window, &row.granted, &row.checksum, &row.file}, func() error {
		a.count++
		if l.has(k.couponID) {
			kept := row
			kept.sum = sha256.New()
			a.windows[k] = &kept
		}
		return nil
	})
	return a, err
}

// has says whether a coupon is looked at here.
func (l *look) has(couponID string) bool {
	return event.Partition(couponID, l.partitions) == l.partition && (l.Coupons == nil || slices.Contains(l.Coupons, couponID))
}

func (a *auditor) hasArchives(ctx context.Context) (there bool, err error) {
	err = a.Database.QueryRow(ctx, `SELECT to_regclass('archived') IS NOT NULL`).Scan(&there)
	return there, err
}

// sameArchives looks, in the snapshot of a page, whether what was archived of this look's windows is what was known at the
// beginning. Others may be archived all the time.
func (l *ledger) sameArchives(ctx context.Context, tx pgx.Tx) error {
	known := l.archives
	if !known.there { // nobody archives before there is a ledger of a later version
		return nil
	}
	var count int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM archived`).Scan(&count); err != nil || count == known.count {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT coupon_id, "window" FROM archived`)
	if err != nil {
		return err
	}
	here, same := 0, 0
	var k windowKey
	_, err = pgx.ForEachRow(rows, []any{&k.couponID, &k.window}, func() error {
		if l.has(k.couponID) {
			here++
		}
		if known.windows[k] != nil {
			same++
		}
		return nil
	})
	if err == nil && (here != same || same != len(known.windows)) {
		return errArchived
	}
	known.count = count
	return err
}

// of is the archive in which a grant must be; nil: it must be in the tables.
func (a *archives) of(f *fcfs.Fact) *archivedWindow {
	if f == nil || f.Granted == nil || len(a.windows) == 0 {
		return nil
	}
	return a.windows[windowKey{f.Granted.CouponID, f.Granted.Window}]
}

// take takes a grant as its line of the file.
func (a *archivedWindow) take(requestsTopic string, f fcfs.Fact) error {
	f.CorrelationID, f.TraceParent = "", "" // which the value does not have
	m, err := message(requestsTopic, f)
	if err != nil {
		return err
	}
	a.decided++
	a.sum.Write(m.Value)
	a.sum.Write([]byte("\n"))
	return nil
}

// compareArchives holds what was archived against what the log led to.
func (l *ledger) compareArchives() {
	for k, a := range l.archives.windows {
		sum := hex.EncodeToString(a.sum.Sum(nil))
		d := Difference{Place: placePostgres, Kind: Wrong, Partition: l.partition, Offset: -1, CouponID: k.couponID, Window: k.window}
		switch {
		case a.granted != a.decided:
			d.Sentence = fmt.Sprintf("archived says that %d were granted of coupon %s, %sand the log leads to %d", a.granted, k.couponID, inWindow(k.window), a.decided)
		case a.checksum != sum:
			d.Sentence = fmt.Sprintf("the archived grants of coupon %s, %sin the file %s are not those that the log leads to: their checksum is %s and should be %s",
				k.couponID, inWindow(k.window), a.file, a.checksum, sum)
		default:
			l.compared.Archived += int(a.granted)
			continue
		}
		l.add(d)
	}
}
