package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

func isLockTimeout(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "55P03"
}

// endStalled ends the sessions of ledgers that have stopped within their transaction, since whoever comes next waits for
// the row that they have locked. Postgres does that by itself only while it waits for a statement: where the client falls
// silent in the middle of a COPY, neither idle_in_transaction_session_timeout nor statement_timeout interrupts the wait,
// and the row would stay locked for as long as that process is paused, or until TCP gives its host up.
//
// Such a session holds the lock that FOR UPDATE takes on the table, waits for its client, and began its statement, or its
// silence, longer ago than it may be idle. One that feeds a COPY as slowly as that is ended too, and writes it again.
func (s *Store) endStalled(ctx context.Context, cause error) error {
	const end = `SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
WHERE a.datname = current_database() AND a.usename = current_user AND l.relation = 'ledger_offsets'::regclass AND l.mode = 'RowShareLock'
AND a.wait_event = 'ClientRead' AND a.state_change < clock_timestamp() - nullif(current_setting('idle_in_transaction_session_timeout'), '0')::interval`
	var ended int
	if err := s.write.QueryRow(ctx, end).Scan(&ended); err != nil {
		return fmt.Errorf("%w; looking for who holds it: %w", cause, err)
	}
	return fmt.Errorf("another session holds a lock that this one needs (%d that had stopped were ended): %w", ended, cause)
}
