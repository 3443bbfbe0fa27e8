package embedded

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func connect(t *testing.T, p *Postgres) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestQuick(t *testing.T) {
	for range 2 {
		start := time.Now()
		p, err := StartPostgres(t.Context(), PostgresConfig{Unsafe: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(time.Since(start))
		c := connect(t, p)
		var v string
		if err := c.QueryRow(t.Context(), "select version()").Scan(&v); err != nil {
			t.Fatal(err)
		}
		t.Log(v, p.DataDir())
		start = time.Now()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		t.Log(time.Since(start))
	}
}
