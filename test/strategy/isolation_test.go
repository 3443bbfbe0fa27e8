package strategy

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

// Whatever the pool is set to, everybody is answered, and as many have one as there are.
func TestPostgres_Settings(t *testing.T) {
	t.Parallel()
	servers := coupontest.Start(t, coupontest.Postgres)
	watching := pool(t, servers, "")
	for name, set := range map[string]func(*pgx.ConnConfig){
		"read committed":  func(c *pgx.ConnConfig) {},
		"repeatable read": func(c *pgx.ConnConfig) { c.RuntimeParams["default_transaction_isolation"] = "repeatable read" },
		"serializable":    func(c *pgx.ConnConfig) { c.RuntimeParams["default_transaction_isolation"] = "serializable" },
		"simple protocol": func(c *pgx.ConnConfig) { c.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol },
		"no cache":        func(c *pgx.ConnConfig) { c.DefaultQueryExecMode = pgx.QueryExecModeExec },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := pgxpool.ParseConfig(servers.DatabaseURL)
			check(t, err)
			set(cfg.ConnConfig)
			cfg.ConnConfig.RuntimeParams["application_name"], cfg.MaxConns = name, 8
			pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
			check(t, err)
			t.Cleanup(pool.Close)
			shop, id := strategy.Postgres{Pool: pool}, strategytest.Subject{}.CouponID(t)
			check(t, shop.Migrate(t.Context()))
			check(t, shop.SetLimit(t.Context(), id, 10))
			people := strategytest.People(40)
			told := make([]strategy.Told, 2*len(people))
			ctx := context.WithoutCancel(t.Context())
			row, err := pool.Begin(ctx) // holds it until somebody waits for it, whose view of it is then an old one
			check(t, err)
			_, err = row.Exec(ctx, "UPDATE strategy.coupons SET issued = issued WHERE coupon_id = $1", id)
			check(t, err)
			var asking sync.WaitGroup
			for i := range told { // everybody twice
				asking.Go(func() {
					told[i].UserID = people[i/2]
					told[i].Answer, told[i].Err = shop.Claim(ctx, id, people[i/2])
				})
			}
			waits(t, watching, name)
			check(t, row.Commit(ctx))
			asking.Wait()
			for _, one := range told {
				if one.Err != nil && !errors.Is(one.Err, strategy.ErrExhausted) && !errors.Is(one.Err, strategy.ErrAlreadyIssued) {
					t.Errorf("%s is told %v", one.UserID, one.Err)
				}
			}
			issued, err := shop.Issued(t.Context(), id)
			check(t, err)
			if faults := strategy.Count(strategy.Sale{Limit: 10, Issued: issued, Told: told}); len(faults) > 0 || len(issued) != 10 {
				t.Errorf("%d people have one, with %v", len(issued), faults)
			}
		})
	}
}

// The limit is set while another transaction holds the coupon's row. Above READ COMMITTED Postgres refuses that when it is done.
func TestPostgres_SetLimitWaits(t *testing.T) {
	t.Parallel()
	servers := coupontest.Start(t, coupontest.Postgres)
	watching := pool(t, servers, "")
	for _, level := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			cfg := watching.Config()
			cfg.ConnConfig.RuntimeParams["application_name"] = "limit " + level
			cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = level
			pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
			check(t, err)
			t.Cleanup(pool.Close)
			shop, id := strategy.Postgres{Pool: pool}, strategytest.Subject{}.CouponID(t)
			check(t, shop.Migrate(t.Context()))
			check(t, shop.SetLimit(t.Context(), id, 1))
			row, err := pool.Begin(t.Context())
			check(t, err)
			_, err = row.Exec(t.Context(), "UPDATE strategy.coupons SET issued = issued WHERE coupon_id = $1", id)
			check(t, err)
			set := make(chan error, 1)
			go func() { set <- shop.SetLimit(t.Context(), id, 2) }()
			waits(t, watching, "limit "+level)
			check(t, row.Commit(t.Context()))
			check(t, <-set)
			if left, err := shop.Remaining(t.Context(), id); left != 2 || err != nil {
				t.Errorf("there remain %d, %v; want 2", left, err)
			}
		})
	}
}

// Two others have changed what is read, in no order that could be one after the other. SERIALIZABLE refuses then even who only
// reads, and lets them the next time.
func TestPostgres_ReadsRefused(t *testing.T) {
	t.Parallel()
	servers := coupontest.Start(t, coupontest.Postgres)
	others := pool(t, servers, "")
	check(t, strategy.Postgres{Pool: others}.Migrate(t.Context()))
	for _, c := range []struct {
		call, table, change string
		read                func(shop strategy.Postgres, id string) error
	}{
		{"Remaining", "strategy.coupons", "UPDATE strategy.coupons SET stock = 2 WHERE coupon_id = $1", func(shop strategy.Postgres, id string) error {
			_, err := shop.Remaining(t.Context(), id)
			return err
		}},
		{"Issued", "strategy.issued", "INSERT INTO strategy.issued VALUES ($1, 'ada', 1)", func(shop strategy.Postgres, id string) error {
			_, err := shop.Issued(t.Context(), id)
			return err
		}},
	} {
		t.Run(c.call, func(t *testing.T) {
			cfg := others.Config()
			cfg.ConnConfig.RuntimeParams["application_name"] = c.call
			cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = "serializable"
			cfg.MaxConns = 1
			pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
			check(t, err)
			t.Cleanup(pool.Close)
			shop, id, other := strategy.Postgres{Pool: pool}, strategytest.Subject{}.CouponID(t), strategytest.Subject{}.CouponID(t)
			check(t, shop.SetLimit(t.Context(), id, 1))
			check(t, shop.SetLimit(t.Context(), other, 1))
			check(t, c.read(shop, id)) // whose statement is prepared from here on

			first, err := others.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.Serializable})
			check(t, err)
			var stock int64
			check(t, first.QueryRow(t.Context(), "SELECT stock FROM strategy.coupons WHERE coupon_id = $1", other).Scan(&stock))
			check(t, shop.SetLimit(t.Context(), other, 2)) // behind what was read
			_, err = first.Exec(t.Context(), "LOCK TABLE "+c.table)
			check(t, err)
			_, err = first.Exec(t.Context(), c.change, id)
			check(t, err)
			read := make(chan error, 1)
			go func() { read <- c.read(shop, id) }()
			waits(t, others, c.call) // and sees what was before
			check(t, first.Commit(t.Context()))
			check(t, <-read)
		})
	}
}

// waits returns when somebody of that application waits for another's lock.
func waits(t *testing.T, watching *pgxpool.Pool, application string) {
	t.Helper()
	strategytest.Eventually(t, func() (waiting bool, err error) {
		err = watching.QueryRow(context.WithoutCancel(t.Context()),
			"SELECT true FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock' LIMIT 1", application).Scan(&waiting)
		return waiting, err
	})
}

// Somebody has made the count smaller by hand, so that a place is to be given twice. That is not told as a coupon that the person has.
func TestPostgres_PlaceTaken(t *testing.T) {
	t.Parallel()
	shop := strategy.Postgres{Pool: pool(t, coupontest.Start(t, coupontest.Postgres), "")}
	check(t, shop.Migrate(t.Context()))
	id := strategytest.Subject{}.CouponID(t)
	check(t, shop.SetLimit(t.Context(), id, 2))
	strategytest.Decided(t, shop, id, "ada")
	_, err := shop.Pool.Exec(t.Context(), "UPDATE strategy.coupons SET issued = 0 WHERE coupon_id = $1", id)
	check(t, err)
	if answer, err := shop.Claim(t.Context(), id, "bob"); err == nil || errors.Is(err, strategy.ErrAlreadyIssued) {
		t.Errorf("bob is told %q, %v", answer, err)
	}
	if _, err := shop.Claim(t.Context(), id, "ada"); !errors.Is(err, strategy.ErrAlreadyIssued) {
		t.Errorf("ada is told %v", err)
	}
}

// Who may use the schema and make nothing calls Migrate too, as every server does at its start.
func TestPostgres_MigrateWithoutRights(t *testing.T) {
	t.Parallel()
	servers := coupontest.Start(t, coupontest.Postgres)
	owner := pool(t, servers, "")
	check(t, strategy.Postgres{Pool: owner}.Migrate(t.Context()))
	role := "shop_" + strings.ToLower(rand.Text())
	order := func(ctx context.Context, statements ...string) {
		for _, s := range statements {
			_, err := owner.Exec(ctx, strings.ReplaceAll(s, "shop", role))
			check(t, err)
		}
	}
	order(t.Context(), "CREATE ROLE shop", "GRANT USAGE ON SCHEMA strategy TO shop", "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA strategy TO shop")
	t.Cleanup(func() { order(context.WithoutCancel(t.Context()), "DROP OWNED BY shop", "DROP ROLE shop") })
	cfg := owner.Config()
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SET ROLE "+role)
		return err
	}
	limited, err := pgxpool.NewWithConfig(t.Context(), cfg)
	check(t, err)
	defer limited.Close()
	shop := strategy.Postgres{Pool: limited}
	check(t, shop.Migrate(t.Context()))
	check(t, shop.SetLimit(t.Context(), "tea", 1))
	if answer, err := shop.Claim(t.Context(), "tea", "ada"); answer != strategy.Issued || err != nil {
		t.Errorf("ada is told %q, %v", answer, err)
	}
}
