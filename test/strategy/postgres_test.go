package strategy

import (
	"context"
	"os/exec"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

func TestPostgres(t *testing.T) {
	t.Parallel()
	servers := coupontest.Start(t, coupontest.Postgres)
	strategytest.Run(t, strategytest.OnPostgres(
		func(t strategytest.T, application string) *pgxpool.Pool { return pool(tb(t), servers, application) },
		func(strategytest.T) *exec.Cmd { return command("postgres", "DATABASE_URL="+servers.DatabaseURL) }))
	var left int
	check(t, pool(t, servers, "").QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal)
		+ (SELECT count(*) FROM pg_proc WHERE pronamespace = 'strategy'::regnamespace)`).Scan(&left))
	if left > 0 {
		t.Errorf("the races left %d triggers and functions", left)
	}
}

func pool(t testing.TB, servers *coupontest.Servers, application string) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(servers.DatabaseURL)
	check(t, err)
	cfg.ConnConfig.RuntimeParams["application_name"] = application
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), cfg)
	check(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// Servers that start at the same time all make the schema.
func TestPostgres_Migrate(t *testing.T) {
	t.Parallel()
	servers := coupontest.Start(t, coupontest.Postgres)
	var starting sync.WaitGroup
	for range 8 {
		p := strategy.Postgres{Pool: pool(t, servers, "")}
		starting.Go(func() {
			if err := p.Migrate(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
}
