// Package postgres is where the ledger keeps what the journal says: definitions, grants, and for each partition of the
// journal how far it has come.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/firstcome/firstcome/services/ledger/posting"
)

// Limits in time of what a ledger asks of Postgres.
const (
	connectTimeout = 5 * time.Second
	writeTimeout   = 30 * time.Second
	// A ledger that is paused within a transaction holds its partition's row. Postgres ends such a session by itself after
	// idleTimeout, or else the next owner does, which waits for a lock no longer than lockTimeout (see endStalled).
	idleTimeout = 2 * posting.SettleTimeout // who settles is not ended
	lockTimeout = 10 * time.Second
	readTimeout = 5 * time.Second
)

// connections of each of the two pools, at least; more can be asked for by pool_max_conns in the URL. As many partitions
// can be written at once.
const connections = 8

// Store is a posting.Store, and answers readers. It is safe for use by many goroutines. Readers have connections of their
// own, so that no query keeps the journal waiting.
type Store struct {
	write, read *pgxpool.Pool
	migrator    *pgx.ConnConfig
}

// CheckURL tells what is wrong with a database URL, without its secrets.
func CheckURL(databaseURL string) error {
	if _, err := pgxpool.ParseConfig(databaseURL); err != nil {
		return errors.New("must be a postgres:// URL or a libpq connection string")
	}
	return nil
}

// New does not connect: Postgres may come later than the ledger.
func New(databaseURL string) (*Store, error) {
	s := &Store{}
	// A migration may need longer than a batch, and the wait for the lock is no statement at all.
	config, err := single(databaseURL)
	if err != nil {
		return nil, err
	}
	prepare(config, "firstcome-ledger-migrations", 0)
	s.migrator = config
	if s.write, err = pool(databaseURL, "firstcome-ledger", writeTimeout); err != nil {
		return nil, err
	}
	if s.read, err = pool(databaseURL, "firstcome-ledger-read", readTimeout); err != nil {
		s.write.Close()
		return nil, err
	}
	return s, nil
}

// single is the configuration of one connection: without the URL's settings of a pool, which Postgres would refuse.
func single(databaseURL string) (*pgx.ConnConfig, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	return config.ConnConfig, nil
}

func pool(databaseURL, name string, statement time.Duration) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	prepare(config.ConnConfig, name, statement)
	config.MaxConns = max(config.MaxConns, connections)
	return pgxpool.NewWithConfig(context.Background(), config)
}

// prepare sets what the URL does not.
func prepare(c *pgx.ConnConfig, name string, statement time.Duration) {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	set(c, "application_name", name)
	set(c, "idle_in_transaction_session_timeout", milliseconds(idleTimeout))
	if statement > 0 {
		set(c, "statement_timeout", milliseconds(statement))
		set(c, "lock_timeout", milliseconds(lockTimeout))
	}
}

func set(c *pgx.ConnConfig, parameter, value string) {
	if _, given := c.RuntimeParams[parameter]; !given {
		c.RuntimeParams[parameter] = value
	}
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// Close waits for the connections that are in use.
func (s *Store) Close() {
	s.write.Close()
	s.read.Close()
}

// Ping tells whether Postgres answers.
func (s *Store) Ping(ctx context.Context) error { return s.read.Ping(ctx) }

// Begin gives a partition's place, and makes its row where there is none.
func (s *Store) Begin(ctx context.Context, partition int32) (posting.Place, error) {
	_, err := s.write.Exec(ctx, `INSERT INTO ledger_offsets (partition, next_offset, highest_source) VALUES ($1, 0, -1) ON CONFLICT DO NOTHING`, partition)
	if err != nil {
		return posting.Place{}, told(err)
	}
	return s.Place(ctx, partition)
}

// Place looks at a partition's row without locking it. posting.ErrMoved where there is none.
func (s *Store) Place(ctx context.Context, partition int32) (posting.Place, error) {
	p, err := place(ctx, s.write, partition, andSchema)
	return p, told(err)
}

const (
	placeOf = `SELECT next_offset, highest_source, last_offset, last_time FROM ledger_offsets WHERE partition = $1 `
	// A look also names the youngest table, of which it wants nothing: where a database was restored from before a
	// migration, the ledger learns it here, also when the row stands where it stood.
	andSchema = `AND NOT EXISTS (SELECT FROM archived WHERE false)`
)

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// place reads a partition's row; more is the end of the statement.
func place(ctx context.Context, q querier, partition int32, more string) (posting.Place, error) {
	var p posting.Place
	var offset *int64
	var at *time.Time
	err := q.QueryRow(ctx, placeOf+more, partition).Scan(&p.Next, &p.HighestSource, &offset, &at)
	if errors.Is(err, pgx.ErrNoRows) {
		return posting.Place{}, posting.ErrMoved
	}
	if offset != nil && at != nil {
		p.Last = &posting.Mark{Offset: *offset, Time: at.UTC()}
	}
	return p, err
}
