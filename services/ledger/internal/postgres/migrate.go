package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema up to date under an advisory lock, so that any number of ledgers may start at once. A schema
// that is newer than this program is left alone: migrations only add, and the older program goes on beside it.
func (s *Store) Migrate(ctx context.Context) error { return s.migrate(ctx, migrations) }

func (s *Store) migrate(ctx context.Context, all fs.FS) error {
	// The lock counts its own tries, so each migration needs a new one. It asks each second rather than waiting inside
	// Postgres, where it would hold a snapshot that an index made concurrently would wait for.
	const period, tries = 1, 300
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(period, tries))
	if err != nil {
		return err
	}
	files, err := fs.Sub(all, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*s.migrator)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker), goose.WithTableName("ledger_migrations"))
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating the schema: %w", err)
	}
	return s.checkEncoding(ctx)
}

// checkEncoding refuses a database that could not hold every user id, or would cut it differently.
func (s *Store) checkEncoding(ctx context.Context) error {
	var encoding string
	if err := s.write.QueryRow(ctx, `SHOW server_encoding`).Scan(&encoding); err != nil {
		return err
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database's encoding is %s, and must be UTF8: user ids are any UTF-8", encoding)
	}
	return nil
}
