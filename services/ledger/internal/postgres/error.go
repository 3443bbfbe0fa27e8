package postgres

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
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

// IsOutdated tells whether an error says that the schema is not there, or is an older one: the database was restored from
// before a migration, or made anew.
func IsOutdated(err error) bool {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return false
	}
	switch server.Code {
	case "42P01", "42703", "42704", "3F000": // table, column, object, schema
		return true
	}
	return false
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
