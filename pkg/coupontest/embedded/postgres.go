package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	postgresName = "firstcome"     // role and database of every embedded Postgres
	runTimeout   = 2 * time.Minute // recovery after a crash included
)

// PostgresConfig says where the embedded Postgres keeps its data and where its program comes from.
type PostgresConfig struct {
	// Dir keeps the data; one process at a time. Empty: a temporary folder, removed by Close.
	// Root can't run Postgres, so for root another account does; where that account can't enter Dir, the data are kept
	// elsewhere and the file "location" in Dir says where.
	Dir string
	// Port on 127.0.0.1; 0 is a free one.
	Port int
	// BinDir holds initdb and postgres. "path" means those on PATH (or in /usr/lib/postgresql). Default: the environment's
	// FIRSTCOME_POSTGRES_BIN, else PostgreSQL 17.6 fetched into CacheDir, else, where it can't be fetched, "path".
	BinDir string
	// CacheDir is where fetched programs are kept. Default: the environment's FIRSTCOME_CACHE_DIR, else the account's
	// cache folder, or a folder of the machine where root's can't be entered by others.
	CacheDir string
	// Repository is the Maven repository to fetch from. Default: Maven Central.
	Repository string
	// Unsafe gives up what makes data survive the death of the machine (that of the server they do survive), for speed:
	// tests only.
	Unsafe bool
}

// Postgres is a running PostgreSQL server, a child of this process.
type Postgres struct {
	cluster cluster
	process *process
	lock    *folderLock
	port    int
	url     string
	remove  string // the folder to remove with it
}

// StartPostgres starts Postgres, having stopped the one that a killed run left in the same Dir, and returns when it
// answers. It waits until ctx ends, at most.
func StartPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	p, err := startPostgres(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("embedded postgres: %w", err)
	}
	return p, nil
}

func startPostgres(ctx context.Context, cfg PostgresConfig) (_ *Postgres, err error) {
	p := &Postgres{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if cfg.Dir == "" {
		if cfg.Dir, err = os.MkdirTemp("", "firstcome-postgres-"); err != nil {
			return nil, err
		}
		p.remove = cfg.Dir
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, err
	}
	if p.lock, err = lockFolder(cfg.Dir); err != nil {
		return nil, err
	}
	if p.cluster, err = openCluster(cfg.Dir); err != nil {
		return nil, err
	}
	if err := p.cluster.stopOrphan(); err != nil {
		return nil, err
	}
	programs, err := findPrograms(ctx, cfg, p.cluster.account)
	if err != nil {
		return nil, err
	}
	if err := p.cluster.init(ctx, programs, cfg.Unsafe); err != nil {
		return nil, err
	}
	if err := p.run(ctx, programs, cfg); err != nil {
		return nil, err
	}
	return p, p.createDatabase(ctx)
}

// run starts the server until it stays up. Two things make it fail that pass by themselves: another process took the free
// port first, or the children of a postmaster that was killed still hold the shared memory.
func (p *Postgres) run(ctx context.Context, programs programs, cfg PostgresConfig) error {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	for {
		port := cfg.Port
		if port == 0 {
			var err error
			if port, err = freePort(); err != nil {
				return err
			}
		}
		process, err := p.cluster.start(programs, port, cfg.Unsafe)
		if err != nil {
			return err
		}
		p.process, p.port, p.url = process, port, p.cluster.url(port)
		if err = p.cluster.waitReady(ctx, process); err == nil {
			return nil
		}
		log := p.cluster.logTail()
		passing := strings.Contains(log, "shared memory block") || cfg.Port == 0 && strings.Contains(log, "could not bind")
		if ctx.Err() != nil || !passing {
			return fmt.Errorf("%w\n%s", err, log)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("%w\n%s", err, log)
		}
	}
}

func (p *Postgres) createDatabase(ctx context.Context) error {
	u, err := url.Parse(p.url)
	if err != nil {
		return err
	}
	u.Path = "/postgres"
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", postgresName).Scan(&there); err != nil || there {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+postgresName)
	return err
}

// URL is the address of the database "firstcome", whose owner may do everything. It contains a password.
func (p *Postgres) URL() string { return p.url }

// Port is where it listens, on 127.0.0.1.
func (p *Postgres) Port() int { return p.port }

// DataDir is where the data really are.
func (p *Postgres) DataDir() string { return p.cluster.data() }

// Exited is closed when the server has ended, for whatever reason.
func (p *Postgres) Exited() <-chan struct{} { return p.process.done }

// Kill ends the server as a crash would: nothing is written any more.
func (p *Postgres) Kill() { p.process.kill() }

// Close stops the server and returns when it has ended. Connections that are still open are cut.
func (p *Postgres) Close() error {
	var err error
	if p.process != nil {
		err = p.process.stop()
	}
	p.lock.release()
	if p.remove != "" {
		err = errors.Join(err, RemovePostgres(p.remove))
	}
	return err
}

// RemovePostgres removes dir with its data, wherever they are, after stopping the server that a killed run left there. It
// refuses while the process that started the server lives.
func RemovePostgres(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer lock.release()
	c, err := openCluster(dir)
	if err != nil {
		return err
	}
	if err := c.stopOrphan(); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(c.home), os.RemoveAll(dir))
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (c cluster) url(port int) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(postgresName, c.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Path:     postgresName,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func newPassword() string { return rand.Text() }
