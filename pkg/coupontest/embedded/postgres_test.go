//go:build linux || darwin

package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func write(ctx context.Context, url, line string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS lines (line text)"); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "INSERT INTO lines VALUES ($1)", line)
	return err
}

func read(ctx context.Context, url string) ([]string, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT line FROM lines")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func start(t *testing.T, cfg PostgresConfig) *Postgres {
	t.Helper()
	p, err := StartPostgres(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func expectLines(t *testing.T, p *Postgres, want ...string) {
	t.Helper()
	got, err := read(t.Context(), p.URL())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("lines %q, want %q", got, want)
	}
}

func mustWrite(t *testing.T, p *Postgres, line string) {
	t.Helper()
	if err := write(t.Context(), p.URL(), line); err != nil {
		t.Fatal(err)
	}
}

func TestPostgres_Restart(t *testing.T) {
	dir := openDir(t)
	first := start(t, PostgresConfig{Dir: dir}) // not Unsafe: as local mode runs it
	mustWrite(t, first, "one")
	if _, err := StartPostgres(t.Context(), PostgresConfig{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Fatalf("a second one on the same folder: %v", err)
	}
	url, port := first.URL(), first.Port()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t.Context(), url); err == nil {
		t.Fatal("it answers after Close")
	}

	second := start(t, PostgresConfig{Dir: dir, Port: port})
	if second.URL() != url {
		t.Fatalf("at %s, and was at %s", second.URL(), url)
	}
	expectLines(t, second, "one")

	second.Kill()
	<-second.Exited()
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	expectLines(t, start(t, PostgresConfig{Dir: dir, Port: port}), "one")
}

// A killed postmaster's children live until they look up from their work, and as long the data can't be opened.
func TestPostgres_KilledAtWork(t *testing.T) {
	dir := openDir(t)
	first := start(t, PostgresConfig{Dir: dir, Unsafe: true})
	mustWrite(t, first, "one")
	worker, err := pgx.Connect(t.Context(), first.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer worker.Close(context.Background())
	cut := make(chan error, 1)
	go func() {
		_, err := worker.Exec(context.Background(), "SELECT sum(sqrt(n)) FROM generate_series(1, 4000000) n")
		cut <- err
	}()
	watcher, err := pgx.Connect(t.Context(), first.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close(context.Background())
	eventually(t, "the query runs", func() bool {
		var running int
		err := watcher.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT sum(sqrt%'").Scan(&running)
		return err == nil && running == 1
	})
	first.Kill()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	expectLines(t, start(t, PostgresConfig{Dir: dir, Unsafe: true}), "one")
	<-cut
}

func TestPostgres_TakesOver(t *testing.T) {
	dir := openDir(t)
	cmd, line := child(t, "postgres", dir)
	orphan, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	if err := RemovePostgres(dir); err == nil {
		t.Fatal("removed under a living process")
	}
	kill9(cmd)
	data := filepath.Join(dir, "data")
	if !isServer(orphan, data) {
		t.Fatal("the killed process took its Postgres with it: this test shows nothing")
	}
	p := start(t, PostgresConfig{Dir: dir, Unsafe: true})
	if isServer(orphan, data) {
		t.Fatal("the orphan still runs")
	}
	expectLines(t, p, "before the kill")
}

func TestRemovePostgres(t *testing.T) {
	dir := openDir(t)
	cmd, line := child(t, "postgres", dir)
	orphan, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	kill9(cmd)
	if err := RemovePostgres(dir); err != nil {
		t.Fatal(err)
	}
	if isServer(orphan, filepath.Join(dir, "data")) {
		t.Error("the orphan still runs")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
	if err := RemovePostgres(dir); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// What a crash of the machine may leave in a data folder.
func TestPostgres_Leftovers(t *testing.T) {
	dir := openDir(t)
	p := start(t, PostgresConfig{Dir: dir, Unsafe: true})
	mustWrite(t, p, "one")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	data := p.DataDir()
	for name, pid := range map[string]string{
		"a living process that isn't Postgres": fmt.Sprint(os.Getpid()),
		"a process that is gone":               "4194304",
		"nonsense":                             "?",
		"nothing":                              "",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(data, "postmaster.pid")
			if err := os.WriteFile(file, []byte(pid+"\n"+data+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			p := start(t, PostgresConfig{Dir: dir, Unsafe: true})
			expectLines(t, p, "one")
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestPostgres_Initdb(t *testing.T) {
	t.Run("half done before", func(t *testing.T) {
		dir := openDir(t)
		if err := os.MkdirAll(filepath.Join(dir, "initdb", "data", "base"), 0o700); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, start(t, PostgresConfig{Dir: dir, Unsafe: true}), "one")
	})
	t.Run("made by another version", func(t *testing.T) {
		dir := openDir(t)
		data := filepath.Join(dir, "data")
		if err := os.MkdirAll(data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("9.6\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := StartPostgres(t.Context(), PostgresConfig{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), "were made by PostgreSQL 9.6") {
			t.Fatal(err)
		}
	})
}

func TestPostgres_Temporary(t *testing.T) {
	p := start(t, PostgresConfig{Unsafe: true})
	mustWrite(t, p, "one")
	data := p.DataDir()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Fatalf("%s is still there: %v", data, err)
	}
}

func TestPostgres_Cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := StartPostgres(ctx, PostgresConfig{Dir: openDir(t), Unsafe: true}); err == nil {
		t.Fatal("started for nobody")
	}
}

// Started as root, this is what an ordinary account sees; started as one, it is the same account.
func TestPostgres_OrdinaryAccount(t *testing.T) {
	dir := openDir(t)
	out, err := asNobody(t, "lifetime", dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(out, "lifetime 0,lifetime 1") || !strings.Contains(out, filepath.Join(dir, "data")) {
		t.Fatal(out)
	}
	if strings.HasPrefix(out, "0 ") {
		t.Fatal("ran as root")
	}
}

func TestPostgres_PortTaken(t *testing.T) {
	first := start(t, PostgresConfig{Unsafe: true})
	_, err := StartPostgres(t.Context(), PostgresConfig{Port: first.Port(), Unsafe: true})
	if err == nil || !strings.Contains(err.Error(), "Address already in use") {
		t.Fatal(err)
	}
}
