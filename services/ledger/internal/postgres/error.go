package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/firstcome/firstcome/services/ledger/posting"
)

// IsUnavailable tells whether an error says that Postgres cannot answer now, rather than that the question was wrong.
func IsUnavailable(err error) bool {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return unavailableCode(server.Code)
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// told puts an error into posting's words, where it has some: the database was restored from before a migration, or made
// anew.
func told(err error) error {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return err
	}
	switch server.Code {
	case "42P01", "42703", "42704", "3F000": // table, column, object, schema
		return fmt.Errorf("%w: %w", posting.ErrOutdated, err)
	}
	return err
}

func unavailableCode(code string) bool {
	switch code {
	case "25006", // read-only: a standby
		"42P01", // the tables are not there: a database just made or being restored
		"3D000": // the database is not there
		return true
	}
	switch code[:min(2, len(code))] {
	case "08", "53", "57", "58": // connection, resources, operator intervention, system
		return true
	}
	return false
}
