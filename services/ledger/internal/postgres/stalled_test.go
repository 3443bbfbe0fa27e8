package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

// impatient is a database's URL for ledgers that may be idle in a transaction, and wait for a lock, for so many ms only.
func impatient(url string, idle, lock int) string {
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	return fmt.Sprintf("%s%sidle_in_transaction_session_timeout=%d&lock_timeout=%d", url, separator, idle, lock)
}

// A ledger that is paused within its transaction holds the partition's row, wherever it was just then. Its session is
// ended, the next owner goes on, and the paused one's transaction has changed nothing when it wakes.
func TestWrite_PausedWithinTransaction(t *testing.T) {
	for name, pause := range map[string]func(t *testing.T, s *Store, b posting.Batch, wait func()) error{
		"between two statements": func(t *testing.T, s *Store, b posting.Batch, wait func()) error {
			return s.Write(t.Context(), b, func(context.Context, posting.Refused) error { wait(); return nil })
		},
		"in the middle of its COPY": func(t *testing.T, s *Store, b posting.Batch, wait func()) error {
			return s.inTransaction(t.Context(), b, func(ctx context.Context, tx pgx.Tx, b posting.Batch) ([]event.CouponGranted, posting.Refused, error) {
				rows := &pausingRows{newGrantRows(b.Grants), wait}
				_, err := tx.CopyFrom(ctx, pgx.Identifier{"grants"}, grantColumns, rows)
				return b.Grants, nil, err
			}, accept)
		},
	} {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			url := impatient(newDatabase(t), 300, 300)
			paused, next := open(t, url), open(t, url)
			at := begin(t, paused, 0)
			reached, wake, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			go func() {
				done <- pause(t, paused, batch(0, at, nil, grant(0, 1, "tea", "ada", "", 1)), func() { close(reached); <-wake })
			}()
			<-reached
			b := batch(0, at, nil, grant(0, 1, "tea", "ada", "", 1), grant(0, 2, "tea", "bob", "", 2))
			var err error
			for range 20 { // as a ledger does
				if err = next.Write(t.Context(), b, accept); err == nil {
					break
				}
			}
			close(wake)
			if pausedErr := <-done; err != nil || pausedErr == nil {
				t.Fatalf("the next owner: %v; the paused one: %v", err, pausedErr)
			}
			if got := begin(t, next, 0); !got.Equal(b.To) {
				t.Errorf("the row is at %+v, not %+v", got, b.To)
			}
			if got, err := next.Grants(t.Context(), Filter{Limit: 10}); err != nil || !slices.Equal(got, b.Grants) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// pausingRows stop before their last row.
type pausingRows struct {
	*grantRows
	wait func()
}

func (r *pausingRows) Next() bool {
	if len(r.grants) == 1 {
		r.wait()
	}
	return r.grantRows.Next()
}

// Nobody's session is ended who is only slow, or who only looks: an operator at psql, a backup, a reader.
func TestWrite_EndsOnlyWhoHasStopped(t *testing.T) {
	checkLeaks(t)
	url := newDatabase(t)
	next := open(t, impatient(url, 1500, 1000)) // three writes take longer than it may be idle
	at := begin(t, next, 0)
	work, err := next.read.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer work.Release()
	for name, sql := range map[string]struct{ locks, works string }{
		"an operator who moves the row": {`UPDATE ledger_offsets SET next_offset = next_offset`, ``},
		"a ledger that is at work":      {`SELECT FROM ledger_offsets FOR UPDATE`, `SELECT pg_advisory_lock(1)`},
	} {
		t.Run(name, func(t *testing.T) {
			other, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close(context.Background())
			exec := func(conn *pgx.Conn, sql string) {
				if _, err := conn.Exec(t.Context(), sql); err != nil {
					t.Error(err)
				}
			}
			exec(work.Conn(), `SELECT pg_advisory_lock(1)`)
			exec(other, `BEGIN`)
			exec(other, sql.locks)
			done := make(chan struct{})
			go func() {
				defer close(done)
				exec(other, sql.works)
			}()
			if sql.works != "" {
				until(t, next, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database())`)
			}
			for range 3 {
				if err := next.Write(t.Context(), batch(0, at, nil), accept); err == nil || !isLockTimeout(err) {
					t.Errorf("got %v", err)
				}
			}
			exec(work.Conn(), `SELECT pg_advisory_unlock(1)`)
			<-done
			exec(other, `COMMIT`)
			if err := next.Write(t.Context(), batch(0, at, nil), accept); err != nil {
				t.Error(err)
			}
		})
	}
}

// until asks Postgres again and again.
func until(t *testing.T, s *Store, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ok := false; !ok; {
		if err := s.read.QueryRow(ctx, sql).Scan(&ok); err != nil {
			t.Fatalf("waiting for %s: %v", sql, err)
		}
	}
}
