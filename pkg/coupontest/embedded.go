package coupontest

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/pkg/coupontest/embedded"
)

var embeddedKind = kind{
	name: "embedded",
	start: map[Need]starter{
		Kafka: embeddedKafka, Redis: embeddedRedis, Postgres: embeddedPostgres,
	},
}

func named(version string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return version, nil }
}

func embeddedKafka(_ context.Context, s *set, advertise string) (*server, error) {
	cfg := embedded.KafkaConfig{Advertised: advertise}
	dir := ""
	if s.alone { // a restart needs the data
		var err error
		if dir, err = os.MkdirTemp("", "coupontest-kafka-"); err != nil {
			return nil, err
		}
		cfg.Dir = dir
	}
	kafka, err := embedded.StartKafka(cfg)
	if err != nil {
		return nil, err
	}
	srv := &server{hostport: kafka.Brokers()[0], version: named(embedded.KafkaVersion)}
	srv.stop = func(context.Context) error {
		kafka.Close()
		if dir == "" {
			return nil
		}
		return os.RemoveAll(dir)
	}
	srv.kill = func(context.Context) error { kafka.Close(); return nil }
	srv.restart = func(context.Context) (string, error) {
		cfg.Addr = srv.hostport
		again, err := embedded.StartKafka(cfg)
		if err == nil {
			kafka = again
		}
		return srv.hostport, err
	}
	return srv, nil
}

func embeddedRedis(context.Context, *set, string) (*server, error) {
	redis, err := embedded.StartRedis("")
	if err != nil {
		return nil, err
	}
	srv := &server{hostport: redis.Addr(), version: named(embedded.RedisVersion)}
	srv.stop = func(context.Context) error { redis.Close(); return nil }
	srv.kill = func(context.Context) error { redis.Close(); return nil }
	srv.restart = func(context.Context) (string, error) {
		again, err := embedded.StartRedis(srv.hostport)
		if err == nil {
			redis = again
		}
		return srv.hostport, err
	}
	return srv, nil
}

const postgresFolder = "coupontest-postgres-" // and something random

// sweep removes what is left where the reaper was killed too. A folder whose process lives is locked, and a young one may be
// just before that.
func sweep(temp string) {
	left, _ := filepath.Glob(filepath.Join(temp, postgresFolder+"*"))
	for _, dir := range left {
		if info, err := os.Stat(filepath.Join(dir, "lock")); err == nil && time.Since(info.ModTime()) > time.Minute {
			_ = embedded.RemovePostgres(dir) // it may be another account's
		}
	}
}

func embeddedPostgres(ctx context.Context, s *set, _ string) (*server, error) {
	sweep(os.TempDir())
	dir, err := os.MkdirTemp("", postgresFolder)
	if err != nil {
		return nil, err
	}
	if err := s.reaper.watch(reapPostgres, dir); err != nil {
		return nil, err
	}
	cfg := embedded.PostgresConfig{Dir: dir, Unsafe: true}
	postgres, err := embedded.StartPostgres(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, embedded.RemovePostgres(dir))
	}
	srv, err := postgresServer(postgres.URL())
	if err != nil {
		return nil, errors.Join(err, postgres.Close(), embedded.RemovePostgres(dir))
	}
	srv.stop = func(context.Context) error { return errors.Join(postgres.Close(), embedded.RemovePostgres(dir)) }
	srv.kill = func(context.Context) error { postgres.Kill(); return postgres.Close() }
	srv.restart = func(ctx context.Context) (string, error) {
		cfg.Port = postgres.Port()
		again, err := embedded.StartPostgres(ctx, cfg)
		if err == nil {
			postgres = again
		}
		return srv.hostport, err
	}
	return srv, nil
}

// postgresServer is the server at that URL, whose role may create databases.
func postgresServer(address string) (*server, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	srv := &server{hostport: u.Host, url: u}
	srv.version = func(ctx context.Context) (string, error) { return postgresVersion(ctx, srv.address()) }
	return srv, nil
}

func postgresVersion(ctx context.Context, url string) (string, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var version string
	err = conn.QueryRow(ctx, "SHOW server_version").Scan(&version)
	version, _, _ = strings.Cut(version, " ") // Debian adds its package's
	return "PostgreSQL " + version, err
}
