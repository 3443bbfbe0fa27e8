package compare

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Whoever interrupts waits for the step that was begun, since the server makes it anyway; another is not begun.
func TestKeeper_Interrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	k := &keeper{}
	err := k.take(ctx, func(step context.Context) (string, error) {
		interrupt()
		if _, bounded := step.Deadline(); !bounded {
			t.Error("the step may take for ever")
		}
		return "made", step.Err()
	})
	if err != nil || len(k.Servers) != 1 || k.Servers[0].Version != "made" {
		t.Errorf("the step that was begun: %v, %v", err, k.Servers)
	}
	err = k.take(ctx, func(context.Context) (string, error) {
		t.Error("another step is begun")
		return "", nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it says %v", err)
	}
}

// However the given database is named, that of the run is another one.
func TestDatabaseURL(t *testing.T) {
	for _, given := range []string{
		"postgres://firstcome:secret@db:5433/shop", "postgres://firstcome:secret@db:5433/shop?sslmode=disable",
		"postgres://firstcome:secret@db:5433/?dbname=shop", "postgres://firstcome:secret@db:5433/x?database=shop&sslmode=disable", "postgres://firstcome:secret@db:5433/a%2Fb?dbname=shop&database=shop",
	} {
		u, err := parseAdmin(given)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := pgx.ParseConfig(databaseURL(*u, "own"))
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Database != "own" || cfg.Host != "db" || cfg.Port != 5433 || cfg.User != "firstcome" || cfg.Password != "secret" {
			t.Errorf("%s: database %s at %s:%d as %s", given, cfg.Database, cfg.Host, cfg.Port, cfg.User)
		}
	}
}
