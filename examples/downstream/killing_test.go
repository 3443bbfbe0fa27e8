package downstream

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
)

// killing is a table, and the processes that write it and are killed.
type killing struct {
	t       *testing.T
	sale    *sale
	url     string // of the database
	db      *pgxpool.Pool
	args    []string
	started int
	kills   []string // a line for each
}

// writer is a process that writes the table.
type writer struct {
	*process
	session string // name of its connections
	began   int64  // end of the table when it was started
}

func newKilling(t *testing.T, s *sale, args ...string) *killing {
	t.Helper()
	k := &killing{t: t, sale: s, url: coupontest.Start(t, coupontest.Postgres).DatabaseURL, args: args}
	db, err := pgxpool.New(t.Context(), k.url)
	if err != nil {
		t.Fatal(err)
	}
	k.db = db
	t.Cleanup(db.Close)
	return k
}

func (k *killing) start() *writer {
	k.t.Helper()
	k.started++
	w := &writer{session: fmt.Sprint("process-", k.started)}
	if k.started > 1 { // the first one makes the table
		w.began = k.number(`SELECT coalesce(max(n), 0) FROM owners`)
	}
	at, err := url.Parse(k.url)
	if err != nil {
		k.t.Fatal(err)
	}
	query := at.Query()
	query.Set("application_name", w.session)
	at.RawQuery = query.Encode()
	w.process = start(k.t, "exactlyonce", k.sale.env("DATABASE_URL="+at.String()), k.args...)
	return w
}

// startTwo returns once two members of a group share the journal.
func (k *killing) startTwo() [2]*writer {
	k.t.Helper()
	two := [2]*writer{k.start(), k.start()}
	for _, w := range two {
		w.says(k.t, fmt.Sprintf("joined the group .* partitions=%d", partitions/2))
	}
	return two
}

// kill kills a process as soon as the table has grown since it was started and it is seen within a transaction.
func (k *killing) kill(w *writer) {
	k.t.Helper()
	const writing = `SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND backend_xid IS NOT NULL`
	const grown = `SELECT count(*) FROM (SELECT FROM owners WHERE n > $1 LIMIT 1)`
	eventually(k.t, func() bool {
		return k.number(writing, w.session) > 0 && k.number(grown, w.began) > 0
	}, func() string { return w.session + " writes nothing" })
	w.kill()
	k.kills = append(k.kills, fmt.Sprintf("%4d  %-10s  %8d", len(k.kills)+1, w.session, k.number(`SELECT count(*) FROM owners`)))
}

// caughtUp returns once the table has so many rows.
func (k *killing) caughtUp(rows int) {
	k.t.Helper()
	got := int64(0)
	eventually(k.t, func() bool {
		got = k.number(`SELECT count(*) FROM owners`)
		return got >= int64(rows)
	}, func() string { return fmt.Sprintf("%d rows of %d", got, rows) })
}

// finish lets the last processes end in order and holds the table against the journal.
func (k *killing) finish(last ...*writer) {
	k.t.Helper()
	journal := k.sale.journal(k.t)
	k.caughtUp(int(k.sale.asked.Load()))
	for _, w := range last {
		w.stop(k.t)
	}
	rows := k.rows()
	found := differences(journal, rows)
	k.t.Logf("kill  process     rows then\n%s\n%d kills, %d claims, %d grants in the journal, %d rows, %d differences", strings.Join(k.kills, "\n"),
		len(k.kills), k.sale.asked.Load(), count(journal), len(rows), len(found))
	for _, d := range found[:min(len(found), 20)] {
		k.t.Error(d)
	}
}

// rows are the table's, in the order in which they were written.
func (k *killing) rows() []event.CouponGranted {
	k.t.Helper()
	got, err := k.db.Query(k.t.Context(), `SELECT grant_id::text, coupon_id, user_id, "window", sequence, requested_at FROM owners ORDER BY n`)
	if err != nil {
		k.t.Fatal(err)
	}
	rows, err := pgx.CollectRows(got, func(row pgx.CollectableRow) (g event.CouponGranted, err error) {
		err = row.Scan(&g.GrantID, &g.CouponID, &g.UserID, &g.Window, &g.Sequence, &g.RequestedAt)
		g.RequestedAt = g.RequestedAt.UTC()
		return g, err
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return rows
}

// number asks for one. The table may not be there yet: 0.
func (k *killing) number(query string, args ...any) (n int64) {
	k.t.Helper()
	err := k.db.QueryRow(k.t.Context(), query, args...).Scan(&n)
	if err != nil && !strings.Contains(err.Error(), "42P01") {
		k.t.Fatal(err)
	}
	return n
}

// exec does all in one transaction, which nobody else sees the inside of.
func (k *killing) exec(commands ...string) {
	k.t.Helper()
	if _, err := k.db.Exec(k.t.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ;"+strings.Join(commands, ";")+";COMMIT"); err != nil {
		k.t.Fatal(err)
	}
}

func count(journal [][]event.CouponGranted) (n int) {
	for _, grants := range journal {
		n += len(grants)
	}
	return n
}

// differences compares the table with the journal: each grant once, no more, all values, and those of a partition in its
// order.
func differences(journal [][]event.CouponGranted, rows []event.CouponGranted) (found []string) {
	type at struct{ partition, n int }
	places := make(map[string]at)
	for partition, grants := range journal {
		for n, g := range grants {
			places[g.GrantID] = at{partition, n}
		}
	}
	seen, last := make(map[string]bool), make([]int, len(journal))
	for _, row := range rows {
		place, known := places[row.GrantID]
		switch {
		case !known:
			found = append(found, "one too many: "+row.GrantID)
			continue
		case seen[row.GrantID]:
			found = append(found, "twice: "+row.GrantID)
			continue
		case row != written(journal[place.partition][place.n]):
			found = append(found, fmt.Sprintf("differs: %+v", row))
		case place.n < last[place.partition]:
			found = append(found, "too late: "+row.GrantID)
		}
		seen[row.GrantID], last[place.partition] = true, place.n
	}
	for id := range places {
		if !seen[id] {
			found = append(found, "missing: "+id)
		}
	}
	return found
}

// written is what the table keeps of a grant.
func written(g event.CouponGranted) event.CouponGranted {
	return event.CouponGranted{GrantID: g.GrantID, CouponID: g.CouponID, UserID: g.UserID, Window: g.Window, Sequence: g.Sequence, RequestedAt: g.RequestedAt}
}
