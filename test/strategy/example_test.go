package strategy

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/strategy"
)

// examplePostgres is that of strategy/example_postgres_test.go, which nobody runs there for want of a Postgres.
func examplePostgres() {
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

// The example for Postgres is the very code that is run here.
func TestExamplePostgres(t *testing.T) {
	shown, run := body(t, "../../strategy/example_postgres_test.go", "ExamplePostgres"), body(t, "example_test.go", "examplePostgres")
	if shown != run {
		t.Errorf("the example is\n%s\nand here is run\n%s", shown, run)
	}
	t.Setenv("DATABASE_URL", coupontest.Start(t, coupontest.Postgres).DatabaseURL)
	const want = "<nil>\n<nil>\nissued <nil>\n this person has the coupon already\n all coupons are gone\n[ada] <nil>\n"
	if said := printed(t, examplePostgres); said != want {
		t.Errorf("it prints\n%s\nwant\n%s", said, want)
	}
}

// body is what stands in the braces of a function.
func body(t *testing.T, path, name string) string {
	t.Helper()
	source, err := os.ReadFile(path)
	check(t, err)
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.SkipObjectResolution)
	check(t, err)
	for _, d := range file.Decls {
		if f, is := d.(*ast.FuncDecl); is && f.Name.Name == name {
			return string(source[files.Position(f.Body.Lbrace).Offset:files.Position(f.Body.Rbrace).Offset])
		}
	}
	t.Fatalf("%s has no %s", path, name)
	return ""
}

// printed is what do prints, which is less than a pipe holds.
func printed(t *testing.T, do func()) string {
	t.Helper()
	stdout := os.Stdout
	r, w, err := os.Pipe()
	check(t, err)
	os.Stdout = w
	do()
	os.Stdout = stdout
	check(t, w.Close())
	said, err := io.ReadAll(r)
	check(t, err)
	return string(said)
}
