package ledger

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

// Postgres comes back as it was earlier, without a word to the ledger and without traffic.
func TestService_Restored(t *testing.T) {
	for name, c := range map[string]struct {
		backup, restore func(w *world)
		away            bool // for a moment, which the ledger tells
	}{
		"to an older state": {(*world).backup, (*world).restore, false},
		"as a whole":        {(*world).backupDatabase, (*world).restoreDatabase, true},
		"to nothing":        {nil, func(w *world) { w.exec(`TRUNCATE ledger_offsets, definitions, grants, coupon_windows, archived`) }, false},
		"without tables": {nil, func(w *world) {
			w.exec(`DROP TABLE ledger_offsets, definitions, grants, coupon_windows, archived, ledger_migrations`)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, coupontest.Start(t, journalServers...), 2)
			var l logs
			w.start(&l, nil)
			w.grow(100)
			w.caughtUp()
			if c.backup != nil {
				c.backup(w)
			}
			w.grow(100)
			w.caughtUp()
			c.restore(w)
			w.caughtUp()
			w.exact()
			c.restore(w) // and once more, with a batch to come before the look at the row
			w.grow(20)
			w.caughtUp()
			w.exact()
			for _, alarm := range l.alarms() {
				if !c.away || !strings.Contains(alarm, "again") {
					t.Errorf("alarm: %s", alarm)
				}
			}
			if got := w.letters(); len(got) > 0 {
				t.Errorf("dead letters: %v", got)
			}
		})
	}
}

var tables = []string{"ledger_offsets", "definitions", "grants", "coupon_windows"}

func (w *world) backup() {
	for _, table := range tables {
		w.exec(`CREATE TABLE backup_` + table + ` AS TABLE ` + table)
	}
}

func (w *world) restore() {
	sql := `TRUNCATE ` + strings.Join(tables, ", ") + `; `
	for _, table := range tables {
		sql += `INSERT INTO ` + table + ` TABLE backup_` + table + `; `
	}
	w.exec(sql) // one transaction
}

// backupDatabase copies the whole database, as it can only be copied while nobody is there.
func (w *world) backupDatabase() {
	name := w.database()
	w.t.Cleanup(func() { w.order(`DROP DATABASE IF EXISTS ` + name + `_backup WITH (FORCE)`) })
	w.order(`ALTER DATABASE `+name+` ALLOW_CONNECTIONS false`,
		`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '`+name+`'`,
		`CREATE DATABASE `+name+`_backup TEMPLATE `+name,
		`ALTER DATABASE `+name+` ALLOW_CONNECTIONS true`)
}

func (w *world) restoreDatabase() {
	name := w.database()
	w.order(`DROP DATABASE `+name+` WITH (FORCE)`, `CREATE DATABASE `+name+` TEMPLATE `+name+`_backup`)
}

func (w *world) database() string {
	u, err := url.Parse(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// order gives orders from beside the ledger's database.
func (w *world) order(sql ...string) {
	w.t.Helper()
	conn, err := pgx.Connect(context.Background(), w.servers.DatabaseURL)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, q := range sql {
		if _, err := conn.Exec(context.Background(), q); err != nil {
			w.t.Fatal(err)
		}
	}
}
