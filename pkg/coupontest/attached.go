package coupontest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/broker"
)

// attachedKind are servers that somebody else runs. They are not stopped, and nobody has them alone. Nobody gets them
// without asking: in many a shell those variables name what is no test's to write to.
var attachedKind = kind{
	name:  "attached",
	start: map[Need]starter{Kafka: attachKafka, Redis: attachRedis, Postgres: attachPostgres},
}

func attach(s *set, variable string) (string, error) {
	if s.alone {
		return "", fmt.Errorf("attached servers are others' too, so no test can have one alone; run this one with %s=%s or %s", EnvServers, embeddedKind.name, containersKind.name)
	}
	value := os.Getenv(variable)
	if value == "" {
		return "", fmt.Errorf("%s is not set, and %s=attach takes the servers that it names; without either of them the tests bring their own", variable, EnvServers)
	}
	return value, nil
}

func leave(context.Context) error { return nil }

// silent says which server doesn't answer.
func silent(variable, address string, err error) error {
	return fmt.Errorf("nobody answers at %s=%s: %w", variable, address, err)
}

func attachKafka(ctx context.Context, s *set, _ string) (*server, error) {
	brokers, err := attach(s, "KAFKA_BROKERS")
	if err != nil {
		return nil, err
	}
	brokers = strings.ReplaceAll(brokers, " ", "")
	if err := askKafka(ctx, brokers); err != nil {
		return nil, silent("KAFKA_BROKERS", brokers, err)
	}
	// No request of Kafka's protocol answers with the version.
	return &server{hostport: brokers, version: named("Kafka at " + brokers), stop: leave}, nil
}

func askKafka(ctx context.Context, brokers string) error {
	client, err := broker.New(broker.Config{Brokers: strings.Split(brokers, ",")})
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.Kafka().Metadata(ctx, &kafka.MetadataRequest{})
	return err
}

func attachRedis(ctx context.Context, s *set, _ string) (*server, error) {
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
	if _, err := version(ctx); err != nil {
		return nil, silent("REDIS_ADDR", addr, err)
	}
	return &server{hostport: addr, version: version, stop: leave}, nil
}

func attachPostgres(ctx context.Context, s *set, _ string) (*server, error) {
	address, err := attach(s, "DATABASE_URL")
	if err != nil {
		return nil, err
	}
	srv, err := postgresServer(address)
	if err != nil {
		return nil, err
	}
	if _, err := srv.version(ctx); err != nil {
		return nil, silent("DATABASE_URL", srv.url.Redacted(), err)
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
