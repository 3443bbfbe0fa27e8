package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/cli/internal/topic"
	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest/embedded"
)

// Servers are Kafka, Redis and Postgres: embedded, or given by their addresses.
type Servers struct {
	Kafka    broker.Config
	Redis    env.Redis
	Database string // URL

	prefixes map[string]string
	exited   <-chan struct{} // closed when the embedded Postgres has ended; nil: there is none
	closers  []func() error
}

// StartServers starts what Start runs its services on, and no service. All of it ends with Close; the data stay.
func StartServers(ctx context.Context, cfg Config) (*Servers, error) {
	f, err := open(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	s, err := startServers(ctx, cfg, f)
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	s.closers = append([]func() error{f.close}, s.closers...)
	return s, nil
}

func startServers(ctx context.Context, cfg Config, f *folder) (_ *Servers, err error) {
	s := &Servers{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	brokers, redis := cfg.Kafka, cfg.Redis
	s.Database = cfg.Postgres
	if s.Database == "" {
		if err := s.startPostgres(ctx, cfg, f); err != nil {
			return nil, err
		}
	}
	if brokers == "" {
		if brokers, err = s.startKafka(f); err != nil {
			return nil, err
		}
	}
	if redis == "" {
		if redis, err = s.startRedis(f); err != nil {
			return nil, err
		}
	}
	return s, s.settings(cfg, brokers, redis)
}

// settings takes TLS, passwords and prefixes of given servers from the environment, as the services do.
func (s *Servers) settings(cfg Config, brokers, redis string) (err error) {
	s.prefixes = map[string]string{endpoint.TopicPrefix: cfg.Getenv(endpoint.TopicPrefix), endpoint.RedisPrefix: cfg.Getenv(endpoint.RedisPrefix)}
	found := map[string]string{
		endpoint.KafkaBrokers: brokers, endpoint.RedisAddr: redis,
		endpoint.TopicPrefix: s.prefixes[endpoint.TopicPrefix], endpoint.RedisPrefix: s.prefixes[endpoint.RedisPrefix],
	}
	if s.Kafka, err = endpoint.Kafka(found, given(cfg.Getenv, cfg.Kafka)); err != nil {
		return err
	}
	s.Redis, err = endpoint.Redis(found, given(cfg.Getenv, cfg.Redis))
	return err
}

// given keeps the settings of another server away from an embedded one.
func given(getenv func(string) string, flag string) func(string) string {
	if flag != "" {
		return getenv
	}
	return func(string) string { return "" }
}

func (s *Servers) startPostgres(ctx context.Context, cfg Config, f *folder) error {
	if _, err := os.Stat(f.path(postgresDir)); err != nil {
		cfg.Say("setting up Postgres (fetched once, where it is not on this machine)")
	}
	p, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: f.path(postgresDir)})
	if err != nil {
		return err
	}
	s.Database, s.exited, s.closers = p.URL(), p.Exited(), append(s.closers, p.Close)
	return nil
}

func (s *Servers) startKafka(f *folder) (string, error) {
	addr, err := f.free("127.0.0.1:0", endpoint.KafkaBrokers)
	if err != nil {
		return "", err
	}
	k, err := embedded.StartKafka(embedded.KafkaConfig{Dir: f.path(kafkaDir), Addr: addr})
	if err != nil {
		return "", err
	}
	s.closers = append(s.closers, func() error { k.Close(); return nil })
	return strings.Join(k.Brokers(), ","), nil
}

func (s *Servers) startRedis(f *folder) (string, error) {
	addr, err := f.free("127.0.0.1:0", endpoint.RedisAddr)
	if err != nil {
		return "", err
	}
	r, err := embedded.StartRedis(addr)
	if err != nil {
		return "", err
	}
	s.closers = append(s.closers, func() error { r.Close(); return nil })
	return r.Addr(), nil
}

// ensureTopics makes the topics; existing ones of other settings are an operator's, and stay.
func (s *Servers) ensureTopics(ctx context.Context, cfg Config) error {
	client, err := broker.New(s.Kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	replication, err := topic.Replication(ctx, client)
	if err != nil {
		return err
	}
	specs := topic.Specs(s.Kafka, cfg.Partitions, replication)
	if have, err := client.Partitions(ctx, specs[0].Name); err == nil {
		specs = topic.Specs(s.Kafka, have, replication)
	}
	outcomes, err := topic.Ensure(ctx, client, specs)
	if err != nil {
		return fmt.Errorf("making the topics: %w", err)
	}
	for _, o := range outcomes {
		if len(o.Differs) > 0 {
			cfg.Say(o.String())
		}
	}
	return nil
}

func (s *Servers) endpoints() map[string]string {
	return map[string]string{
		endpoint.KafkaBrokers: strings.Join(s.Kafka.Brokers, ","), endpoint.RedisAddr: strings.Join(s.Redis.Addr, ","), endpoint.DatabaseURL: s.Database,
		endpoint.TopicPrefix: s.prefixes[endpoint.TopicPrefix], endpoint.RedisPrefix: s.prefixes[endpoint.RedisPrefix],
	}
}

// Close ends those that are embedded.
func (s *Servers) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}
