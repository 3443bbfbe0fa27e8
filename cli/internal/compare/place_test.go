package compare

import (
	"os"
	"slices"
	"testing"
)

// A child is told where the run's servers are, and how given ones let one in; never of others, and nothing of tokens.
func TestPlace_Environ(t *testing.T) {
	for name, value := range map[string]string{
		"KAFKA_SASL_PASSWORD": "k", "REDIS_PASSWORD": "r", "REDIS_TLS": "true", "REDIS_ADDR": "elsewhere:1", "KAFKA_TOPIC_PREFIX": "mine.", "ADMIN_TOKENS": "a=b", "GATEWAY_URL": "http://elsewhere",
	} {
		t.Setenv(name, value)
	}
	all := []string{"DATABASE_URL=url", "KAFKA_BROKERS=kafka:1", "KAFKA_SASL_PASSWORD=k", "KAFKA_TOPIC_PREFIX=run.", "REDIS_ADDR=redis:1", "REDIS_PASSWORD=r", "REDIS_PREFIX=run", "REDIS_TLS=true"}
	through, err := newProxy(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer through.close()
	for _, c := range []struct {
		given   Given
		through *proxy
		want    []string
	}{
		{Given{Kafka: "kafka:1", Redis: "redis:1"}, nil, all},
		{Given{}, nil, slices.DeleteFunc(slices.Clone(all), func(v string) bool {
			return slices.Contains([]string{"KAFKA_SASL_PASSWORD=k", "REDIS_PASSWORD=r", "REDIS_TLS=true"}, v)
		})},
		{Given{Kafka: "kafka:1", Redis: "redis:1"}, through, []string{"DATABASE_URL=url", "KAFKA_BROKERS=kafka:1", "KAFKA_SASL_PASSWORD=k", "KAFKA_TOPIC_PREFIX=run.",
			"REDIS_ADDR=" + through.addr(), "REDIS_PASSWORD=r", "REDIS_PREFIX=run"}},
	} {
		p := place{Place: Place{Kafka: "kafka:1", Redis: "redis:1", Database: "url", TopicPrefix: "run.", RedisPrefix: "run"}, given: c.given, getenv: os.Getenv}
		got := slices.DeleteFunc(p.environ(c.through), func(v string) bool { return !serverSetting(v) })
		if slices.Sort(got); !slices.Equal(got, c.want) {
			t.Errorf("given %+v: %q, want %q", c.given, got, c.want)
		}
	}
}
