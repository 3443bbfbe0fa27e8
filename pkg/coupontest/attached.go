package coupontest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

// attachedKind are servers that somebody else runs. They are not stopped, and nobody has them alone.
var attachedKind = kind{
	name:  "attached",
	start: map[Need]starter{Kafka: attachKafka, Redis: attachRedis, Postgres: attachPostgres},
}

func attach(s *set, variable string) (string, error) {
	if s.alone {
		return "", errors.New("attached servers are others' too, so no test can have one alone")
	}
	value := os.Getenv(variable)
	if value == "" {
		return "", fmt.Errorf("%s is not set", variable)
	}
	return value, nil
}

func leave(context.Context) error { return nil }

func attachKafka(_ context.Context, s *set, _ string) (*server, error) {
	brokers, err := attach(s, "KAFKA_BROKERS")
	if err != nil {
		return nil, err
	}
	brokers = strings.ReplaceAll(brokers, " ", "")
	// No request of Kafka's protocol answers with the version.
	return &server{hostport: brokers, version: named("Kafka at " + brokers), stop: leave}, nil
}

func attachRedis(_ context.Context, s *set, _ string) (*server, error) {
	addr, err := attach(s, "REDIS_ADDR")
	if err != nil {
		return nil, err
	}
	if strings.Contains(addr, ",") {
		return nil, fmt.Errorf("REDIS_ADDR=%s: tests use a single server", addr)
	}
	version := func(ctx context.Context) (string, error) {
		version, err := redisVersion(ctx, addr)
		if refused := redis.Error(nil); errors.As(err, &refused) { // it answers, and not everybody's Redis tells
			return "Redis at " + addr, nil
		}
		return version, err
	}
	return &server{hostport: addr, version: version, stop: leave}, nil
}

func attachPostgres(_ context.Context, s *set, _ string) (*server, error) {
	address, err := attach(s, "DATABASE_URL")
	if err != nil {
		return nil, err
	}
	srv, err := postgresServer(address)
	if err != nil {
		return nil, err
	}
	srv.stop = leave
	return srv, nil
}

func redisVersion(ctx context.Context, addr string) (string, error) {
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(info) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "redis_version:"); ok {
			return "Redis " + version, nil
		}
	}
	return "", fmt.Errorf("redis at %s doesn't tell its version", addr)
}
