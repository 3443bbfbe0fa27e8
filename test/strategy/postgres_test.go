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
	strategytest.Run(t, strategytest.Subject{
		Page:    page(t, "postgres"),
		New:     func(t testing.TB) strategy.Strategy { return onPostgres(t, servers, "") },
		Command: func(t testing.TB) *exec.Cmd { return command("postgres", "DATABASE_URL="+servers.DatabaseURL) },
		Shown: map[strategy.Fault]func(*testing.T) strategy.Sale{
			strategy.Inversion: func(t *testing.T) strategy.Sale { return overtakenInPostgres(t, servers) },
		},
	})
}

func onPostgres(t testing.TB, servers *coupontest.Servers, application string) strategy.Postgres {
	t.Helper()
	p := strategy.Postgres{Pool: pool(t, servers, application)}
	check(t, p.Migrate(t.Context()))
	return p
}

func pool(t testing.TB, servers *coupontest.Servers, application string) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(servers.DatabaseURL)
	check(t, err)
	cfg.ConnConfig.RuntimeParams["application_name"] = application
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	check(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// The trigger stands for a moment in which the operating system lets others run: between the arrival of a statement and its
// getting the row.
const standStill = `
CREATE OR REPLACE FUNCTION strategy.stand_still() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('application_name') = 'ada' THEN PERFORM pg_advisory_xact_lock(7); END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER stand_still BEFORE UPDATE ON strategy.coupons FOR EACH STATEMENT EXECUTE FUNCTION strategy.stand_still()`

// Ada's statement is at the server first, bob's has the row first.
func overtakenInPostgres(t *testing.T, servers *coupontest.Servers) strategy.Sale {
	shop, id := onPostgres(t, servers, "bob"), strategytest.Subject{}.CouponID(t)
	check(t, shop.SetLimit(t.Context(), id, 1))
	_, err := shop.Pool.Exec(t.Context(), standStill)
	check(t, err)
	gate, err := shop.Pool.Acquire(t.Context())
	check(t, err)
	defer gate.Release()
	_, err = gate.Exec(t.Context(), "SELECT pg_advisory_lock(7)")
	check(t, err)

	slow := onPostgres(t, servers, "ada")
	answer := make(chan strategy.Told, 1)
	go func() {
		a, err := slow.Claim(t.Context(), id, "ada")
		answer <- strategy.Told{UserID: "ada", Answer: a, Err: err}
	}()
	strategytest.Eventually(t, func() (waiting bool, err error) {
		err = shop.Pool.QueryRow(t.Context(), "SELECT true FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted").Scan(&waiting)
		return waiting, err
	})
	bob := strategytest.Decided(t, shop, id, "bob")
	_, err = gate.Exec(t.Context(), "SELECT pg_advisory_unlock(7)")
	check(t, err)
	ada := <-answer
	issued, err := shop.Issued(t.Context(), id)
	check(t, err)
	return strategy.Sale{Limit: 1, Issued: issued, Told: []strategy.Told{ada, bob}, Arrived: []string{"ada", "bob"}}
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
