package strategy_test

import (
	"context"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/firstcome/firstcome/strategy"
)

// The database is the shop's own; Migrate adds the schema strategy to it.
func ExamplePostgres() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	shop := strategy.Postgres{Pool: pool}
	fmt.Println(shop.Migrate(ctx))
	fmt.Println(shop.SetLimit(ctx, "tea", 1))
	fmt.Println(shop.Claim(ctx, "tea", "ada"))
	fmt.Println(shop.Claim(ctx, "tea", "ada"))
	fmt.Println(shop.Claim(ctx, "tea", "bob"))
	fmt.Println(shop.Issued(ctx, "tea"))
}
