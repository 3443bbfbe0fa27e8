package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

// nextMigrations are such as a later version may bring.
//
//go:embed testdata/next/migrations/*.sql
var nextMigrations embed.FS

// upTo gives the migrations up to a number, and more files of a later version.
func upTo(t *testing.T, number string, more ...fs.FS) fs.FS {
	t.Helper()
	all := fstest.MapFS{}
	add := func(from fs.FS, pattern string) {
		names, err := fs.Glob(from, pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(from, name)
			if err != nil {
				t.Fatal(err)
			}
			if base := name[strings.LastIndex(name, "/")+1:]; base[:5] <= number {
				all["migrations/"+base] = &fstest.MapFile{Data: text}
			}
		}
	}
	add(migrations, "migrations/*.sql")
	for _, m := range more {
		add(m, "testdata/next/migrations/*.sql")
	}
	return all
}

// oldDatabase has the first schema.
func oldDatabase(t *testing.T) (url string, s *Store) {
	t.Helper()
	url = coupontest.Start(t, coupontest.Postgres).DatabaseURL
	s = open(t, url)
	if err := s.migrate(t.Context(), upTo(t, "00001")); err != nil {
		t.Fatal(err)
	}
	return url, s
}

func TestMigrate(t *testing.T) {
	t.Run("many at once", func(t *testing.T) {
		url := coupontest.Start(t, coupontest.Postgres).DatabaseURL
		const ledgers = 8
		failed := make(chan error, ledgers)
		for range ledgers {
			s := open(t, url)
			go func() { failed <- s.Migrate(t.Context()) }()
		}
		for range ledgers {
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
		s := open(t, url)
		write(t, s, batch(0, begin(t, s, 0), []event.CouponDefined{definition(0, 0, "tea")}, grant(0, 1, "tea", "ada", "", 1)))
		if err := s.Migrate(t.Context()); err != nil { // and again, over what is there
			t.Fatal(err)
		}
		if got, err := s.Grants(t.Context(), Filter{Limit: 10}); err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
	})
	t.Run("a newer schema is left alone", func(t *testing.T) {
		s := newStore(t)
		if _, err := s.write.Exec(t.Context(), `INSERT INTO ledger_migrations (version_id, is_applied) VALUES (99999, true)`); err != nil {
			t.Fatal(err)
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("another encoding is refused", func(t *testing.T) {
		s := newStore(t)
		if _, err := s.write.Exec(t.Context(), `CREATE DATABASE latin_`+databaseOf(t, s)+` ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`); err != nil {
			t.Fatal(err)
		}
		config := s.migrator.Copy()
		t.Cleanup(func() {
			if _, err := s.write.Exec(context.Background(), `DROP DATABASE latin_`+config.Database+` WITH (FORCE)`); err != nil {
				t.Error(err)
			}
		})
		latin := open(t, strings.Replace(s.migrator.ConnString(), "/"+config.Database, "/latin_"+config.Database, 1))
		if err := latin.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "must be UTF8") {
			t.Fatalf("got %v", err)
		}
	})
}

func databaseOf(t testing.TB, s *Store) (name string) {
	t.Helper()
	if err := s.write.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}

// The schema moves on, and on again to one of a later version, while a ledger of the first version writes and reads without a
// pause, and one of this version beside it: no statement of either fails, and every grant is there once.
func TestMigrate_BesideTheOldVersion(t *testing.T) {
	url, s := oldDatabase(t)
	old := newOldLedger(t, url, 0)
	batches := make(chan int64, 1000)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	failed := make(chan error, 3)
	go func() { // the old one, which writes
		for ctx.Err() == nil {
			if err := old.write(t.Context(), nextBatch(0, old.at, old.rows, "tea"), func() error { return nil }); err != nil {
				failed <- fmt.Errorf("the old ledger writes: %w", err)
				return
			}
			select {
			case batches <- old.rows:
			default:
			}
		}
		failed <- nil
	}()
	go func() { // and reads
		for ctx.Err() == nil {
			if err := old.read(t.Context()); err != nil {
				failed <- fmt.Errorf("the old ledger reads: %w", err)
				return
			}
		}
		failed <- nil
	}()
	worked := func() { // it has written and gone on since
		t.Helper()
		for n := len(batches) + 2; n > 0; n-- {
			select {
			case <-batches:
			case err := <-failed:
				t.Fatal(err)
			case <-time.After(time.Minute):
				t.Fatal("the old ledger has come to a standstill")
			}
		}
	}
	worked()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	worked()
	var rows int64
	wrote := make(chan struct{})
	first := sync.OnceFunc(func() { close(wrote) })
	go func() { // the new one, of another partition
		at, err := s.Begin(t.Context(), 1)
		for ctx.Err() == nil && err == nil {
			b := nextBatch(1, at, rows, "cup")
			if err = s.Write(t.Context(), b, accept); err == nil {
				at, rows = b.To, rows+int64(len(b.Grants))
				first()
				_, err = s.Coupon(t.Context(), "tea")
			}
		}
		failed <- err
	}()
	if err := s.migrate(t.Context(), upTo(t, "99999", nextMigrations)); err != nil {
		t.Fatal(err)
	}
	worked()
	select {
	case <-wrote:
	case err := <-failed:
		t.Fatal(err)
	case <-time.After(time.Minute):
		t.Fatal("the new ledger has written nothing")
	}
	stop()
	for range 3 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	for coupon, want := range map[string]int64{"tea": old.rows, "cup": rows} {
		var have int64
		c, err := s.Coupon(t.Context(), coupon)
		if err == nil {
			err = s.read.QueryRow(t.Context(), `SELECT count(*) FROM grants WHERE coupon_id = $1`, coupon).Scan(&have)
		}
		if err != nil || have != want || c.Windows[0].Granted != want {
			t.Errorf("%s: %d rows and a sum of %+v, want %d, %v", coupon, have, c.Windows, want, err)
		}
	}
}

// The schema does not wait for an old ledger that stands in the middle of its transaction, and takes nothing from it: no lock of
// a migration is in the way of what ledgers do.
func TestMigrate_WithinATransaction(t *testing.T) {
	url, s := oldDatabase(t)
	old := newOldLedger(t, url, 0)
	err := old.write(t.Context(), nextBatch(0, old.at, 0, "tea"), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return s.Migrate(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := begin(t, s, 0); !got.Equal(old.at) {
		t.Errorf("the row is at %+v, and the old ledger at %+v", got, old.at)
	}
}

// A ledger of the first version that starts on a newer schema changes nothing of it, and works; each takes over where the
// other was.
func TestMigrate_OldVersionStartsLater(t *testing.T) {
	url := newDatabase(t)
	s := open(t, url)
	if err := s.migrate(t.Context(), upTo(t, "00001")); err != nil {
		t.Fatal(err)
	}
	old := newOldLedger(t, url, 0)
	for range 3 {
		if err := old.write(t.Context(), nextBatch(0, old.at, old.rows, "tea"), func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		b := nextBatch(0, begin(t, s, 0), old.rows, "tea")
		write(t, s, b)
		old.at, old.rows = b.To, old.rows+int64(len(b.Grants))
	}
	if c, err := s.Coupon(t.Context(), "tea"); err != nil || c.Windows[0].Granted != 300 || old.read(t.Context()) != nil {
		t.Errorf("got %+v, %v", c.Windows, err)
	}
}

// What a migration that did not come to its end left of an index is no use to anybody, and does not pass for the index.
func TestMigrate_OverAnInvalidIndex(t *testing.T) {
	s := newStore(t)
	twin := grant(0, 2, "tea", "bob", "", 2)
	twin.LogTime = grant(0, 1, "tea", "ada", "", 1).LogTime
	write(t, s, batch(0, begin(t, s, 0), []event.CouponDefined{definition(0, 0, "tea")}, grant(0, 1, "tea", "ada", "", 1), twin))
	if _, err := s.write.Exec(t.Context(), `CREATE UNIQUE INDEX CONCURRENTLY grants_log_time ON grants (log_time)`); err == nil {
		t.Fatal("two grants of one log time are unique")
	}
	valid := func() (is bool) {
		if err := s.write.QueryRow(t.Context(), `SELECT indisvalid FROM pg_index WHERE indexrelid = 'grants_log_time'::regclass`).Scan(&is); err != nil {
			t.Fatal(err)
		}
		return is
	}
	if valid() {
		t.Fatal("the index is whole")
	}
	if err := s.migrate(t.Context(), upTo(t, "99999", nextMigrations)); err != nil || !valid() {
		t.Errorf("after the migration it is valid: %t, %v", valid(), err)
	}
}

// A database that was restored from before a migration is noticed at the next look, though its rows stand where they stood.
func TestMigrate_RestoredFromBefore(t *testing.T) {
	_, s := oldDatabase(t)
	for name, look := range map[string]func() error{
		"begin": func() error { _, err := s.Begin(t.Context(), 0); return err },
		"place": func() error { _, err := s.Place(t.Context(), 0); return err },
	} {
		if err := look(); !errors.Is(err, posting.ErrOutdated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(t.Context(), 0); err != nil {
		t.Error(err)
	}
}

// Migrations only add, and lock nothing that is in use: the rules of docs/operations.md.
func TestMigrations_OnlyAdd(t *testing.T) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, name := range files[1:] {
		text, err := migrations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range breaches(string(text)) {
			t.Errorf("%s: %s", name, p)
		}
	}
	const alone, up = "-- +goose NO TRANSACTION\n-- +goose Up\n", "-- +goose Up\n"
	const anew = "DROP INDEX CONCURRENTLY IF EXISTS x;\nCREATE INDEX CONCURRENTLY x ON grants (log_time);"
	for sql, want := range map[string]int{
		up + "CREATE TABLE a (b int);\nCREATE INDEX c ON a (b);\n-- +goose Down\nDROP TABLE a;": 0,
		up + "CREATE TABLE a (b int PRIMARY KEY);\nCREATE TABLE c (b int REFERENCES a);":        0,
		up + "CREATE TABLE a (b uuid REFERENCES grants (grant_id));":                            1,
		alone + anew: 0,
		up + anew:    2,
		alone + "CREATE INDEX CONCURRENTLY x ON grants (log_time);":                                                                                         1,
		alone + "CREATE INDEX CONCURRENTLY IF NOT EXISTS x ON grants (log_time);":                                                                           1,
		alone + "DROP INDEX CONCURRENTLY IF EXISTS grants_person;":                                                                                          1,
		alone + "DROP INDEX CONCURRENTLY IF EXISTS grants_person;\nDROP INDEX CONCURRENTLY IF EXISTS x;\nCREATE INDEX CONCURRENTLY x ON grants (log_time);": 1,
		alone + "DROP INDEX CONCURRENTLY IF EXISTS x;\nCREATE UNIQUE INDEX CONCURRENTLY x ON grants (log_time);":                                            2,
		up + "CREATE UNIQUE INDEX x ON grants (log_time);":                                                                                                  1,
		up + "ALTER TABLE grants DROP COLUMN limit; UPDATE grants SET sequence = 1;":                                                                        2,
		up + "ALTER TABLE grants ADD COLUMN x int; DROP TABLE definitions; LOCK TABLE grants;":                                                              3,
	} {
		if got := breaches(sql); len(got) != want {
			t.Errorf("%s: found %q", sql, got)
		}
	}
}

var (
	comment   = regexp.MustCompile(`(?m)--.*$`)
	madeTable = regexp.MustCompile(`(?i)^CREATE TABLE (\w+) ?\(`)
	reference = regexp.MustCompile(`(?i)\bREFERENCES "?(\w+)`)
	madeIndex = regexp.MustCompile(`(?i)^CREATE (?:UNIQUE )?INDEX (\w+) ON (\w+)`)
	besides   = regexp.MustCompile(`(?i)^CREATE INDEX CONCURRENTLY (\w+) ON \w+`)
	dropped   = regexp.MustCompile(`^DROP INDEX CONCURRENTLY IF EXISTS (\w+)$`)
)

// breaches are the statements of a migration's way up that an old ledger would feel, or that a kill would leave half done. An
// index of a table that is not new is made beside its use, and what an earlier attempt left of it is dropped just before.
func breaches(text string) (found []string) {
	up, _, _ := strings.Cut(text, "-- +goose Down")
	alone := strings.Contains(up, "-- +goose NO TRANSACTION")
	tables, before := map[string]bool{}, ""
	for statement := range strings.SplitSeq(comment.ReplaceAllString(up, ""), ";") {
		words := strings.Join(strings.Fields(statement), " ")
		table, of := madeTable.FindStringSubmatch(words), madeIndex.FindStringSubmatch(words)
		index, gone := besides.FindStringSubmatch(words), dropped.FindStringSubmatch(words)
		if table != nil {
			tables[table[1]] = true
		}
		switch {
		case words == "":
		case table != nil && !refersBeyond(words, tables):
		case of != nil && tables[of[2]]:
		case gone != nil && alone && remade(up, gone[1]):
		case index != nil && alone && before == "DROP INDEX CONCURRENTLY IF EXISTS "+index[1]:
		default:
			found = append(found, words)
		}
		before = words
	}
	return found
}

// refersBeyond says whether a table refers to others than those: that locks them.
func refersBeyond(words string, tables map[string]bool) bool {
	return slices.ContainsFunc(reference.FindAllStringSubmatch(words, -1), func(other []string) bool { return !tables[other[1]] })
}

// remade says whether a migration makes an index that it drops.
func remade(up, name string) bool {
	return regexp.MustCompile(`(?i)\bCREATE INDEX CONCURRENTLY ` + name + ` ON `).MatchString(up)
}

// The settings of the pools, which the URL may have, are not asked of Postgres by who has one connection alone.
func TestMigrate_PoolSettings(t *testing.T) {
	s := open(t, coupontest.Start(t, coupontest.Postgres).DatabaseURL+"&pool_max_conns=20")
	if s.write.Config().MaxConns != 20 {
		t.Fatal("the test's URL says nothing of a pool")
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Error(err)
	}
	a, err := s.Archiving(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
}
