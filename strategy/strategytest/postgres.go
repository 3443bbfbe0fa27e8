package strategytest

import (
	"context"
	"os/exec"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/firstcome/firstcome/strategy"
)

// OnPostgres is strategy.Postgres with its race. connect makes one more pool on the same database, under that application
// name; command makes a server of the shop on it.
func OnPostgres(connect func(t T, application string) *pgxpool.Pool, command func(t T) *exec.Cmd) Subject {
	s := onPostgres{connect: connect}
	s.Subject = Subject{
		Page:    page("postgres"),
		New:     func(t T) strategy.Strategy { return s.as(t, "") },
		Command: command,
		Tidy:    s.tidy,
	}
	at := s
	s.Shown = map[strategy.Fault]func(T) strategy.Sale{strategy.Inversion: at.overtakenAtTheRow}
	return s.Subject
}

type onPostgres struct {
	Subject
	connect func(t T, application string) *pgxpool.Pool
}

func (s onPostgres) as(t T, application string) strategy.Postgres {
	t.Helper()
	shop := strategy.Postgres{Pool: s.connect(t, application)}
	must(t, shop.Migrate(context.WithoutCancel(t.Context())))
	return shop
}

// tidy removes the rows of a coupon.
func (s onPostgres) tidy(t T, couponID string) {
	pool := s.as(t, "").Pool
	for _, table := range []string{"strategy.coupons", "strategy.issued"} {
		_, err := pool.Exec(context.WithoutCancel(t.Context()), "DELETE FROM "+table+" WHERE coupon_id = $1", couponID)
		must(t, err)
	}
}

// The trigger stands for a moment in which the operating system lets others run: between the arrival of a statement and its
// getting the row.
const standStill = `
CREATE OR REPLACE FUNCTION strategy.stand_still() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('application_name') = 'ada' THEN PERFORM pg_advisory_xact_lock(7); END IF;
	RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER stand_still BEFORE UPDATE ON strategy.coupons FOR EACH STATEMENT EXECUTE FUNCTION strategy.stand_still()`

// Ada's statement is at the server first, bob's has the row first.
func (s onPostgres) overtakenAtTheRow(t T) strategy.Sale {
	shop, id := s.as(t, "bob"), s.CouponID(t)
	must(t, shop.SetLimit(t.Context(), id, 1))
	_, err := shop.Pool.Exec(t.Context(), standStill)
	must(t, err)
	t.Cleanup(func() {
		_, err := shop.Pool.Exec(context.WithoutCancel(t.Context()), "DROP FUNCTION strategy.stand_still CASCADE") // with its trigger
		must(t, err)
	})
	gate, err := shop.Pool.Acquire(t.Context())
	must(t, err)
	defer gate.Release()
	_, err = gate.Exec(t.Context(), "SELECT pg_advisory_lock(7)")
	must(t, err)

	slow := s.as(t, "ada")
	answer := make(chan strategy.Told, 1)
	go func() {
		a, err := slow.Claim(t.Context(), id, "ada")
		answer <- strategy.Told{UserID: "ada", Answer: a, Err: err}
	}()
	Eventually(t, func() (waiting bool, err error) {
		err = shop.Pool.QueryRow(t.Context(), "SELECT true FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted").Scan(&waiting)
		return waiting, err
	})
	bob := Decided(t, shop, id, "bob")
	_, err = gate.Exec(t.Context(), "SELECT pg_advisory_unlock(7)")
	must(t, err)
	ada := <-answer
	sale := s.Sale(t, shop, id, 1, []strategy.Told{ada, bob})
	sale.Arrived = []string{"ada", "bob"}
	return sale
}
