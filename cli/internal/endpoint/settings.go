package endpoint

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/pkg/broker"
)

// Kafka completes found brokers with how to be let in, from the same variables as the services'.
func Kafka(found map[string]string, getenv func(string) string) (broker.Config, error) {
	secured, err := flag(getenv, "KAFKA_TLS")
	cfg := broker.Config{
		Brokers: list(found[KafkaBrokers]), TopicPrefix: found[TopicPrefix],
		TLS: secured, TLSCA: getenv("KAFKA_TLS_CA"), TLSCert: getenv("KAFKA_TLS_CERT"), TLSKey: getenv("KAFKA_TLS_KEY"),
		SASLMechanism: getenv("KAFKA_SASL_MECHANISM"), SASLUsername: getenv("KAFKA_SASL_USERNAME"), SASLPassword: getenv("KAFKA_SASL_PASSWORD"),
	}
	return cfg, errors.Join(err, cfg.Validate())
}

// Gateways are the found gateways: one, or a comma list of those that share their claim id keys.
func Gateways(found map[string]string) ([]string, error) {
	urls := list(found[GatewayURL])
	if len(urls) == 0 {
		return nil, errors.New("GATEWAY_URL names no gateway")
	}
	for _, text := range urls {
		if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("GATEWAY_URL: %q is no http:// or https:// URL", text)
		}
	}
	return urls, nil
}

// Redis does the same for Redis.
func Redis(found map[string]string, getenv func(string) string) (env.Redis, error) {
	secured, err := flag(getenv, "REDIS_TLS")
	cfg := env.Redis{
		Addr: list(found[RedisAddr]), Prefix: or(found[RedisPrefix], "fc"), TLS: secured, Mode: or(getenv("REDIS_MODE"), "single"),
		Master: getenv("REDIS_MASTER"), Username: getenv("REDIS_USERNAME"), Password: getenv("REDIS_PASSWORD"),
	}
	return cfg, errors.Join(append([]error{err}, cfg.Problems()...)...)
}

// redisPatience is how long one answer may take: an embedded Redis gives a hash of a million as one.
const redisPatience = 30 * time.Second

// RedisClient is a client for reading.
func RedisClient(cfg env.Redis) redis.UniversalClient {
	o := &redis.UniversalOptions{
		ReadTimeout: redisPatience,
		Addrs:       cfg.Addr, Username: cfg.Username, Password: cfg.Password, IsClusterMode: cfg.Mode == "cluster",
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if cfg.Mode == "sentinel" {
		o.MasterName = cfg.Master // the password is the master's, as for the services
	}
	if cfg.TLS {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return redis.NewUniversalClient(o)
}

func flag(getenv func(string) string, name string) (bool, error) {
	value := getenv(name)
	if value == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%s must be true or false", name)
	}
	return on, nil
}

func list(value string) []string {
	var all []string
	for _, part := range strings.Split(value, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
