package compare

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
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

// REDIS_TLS=false is no TLS, also where bytes are counted.
func TestPlace_CountWithoutTLS(t *testing.T) {
	addr := startRedis(t).Options().Addr
	p := place{Place: Place{Redis: addr, RedisPrefix: "run"}, given: Given{Redis: addr}, getenv: func(name string) string { return map[string]string{"REDIS_TLS": "false"}[name] }}
	through, err := p.count()
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: through.addr(), MaxRetries: -1})
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
	_ = client.Close()
	if err := through.close(); err != nil {
		t.Error(err)
	}
}

// Whoever has the servers and does not end is ended, and it is said what to look for.
func TestPlace_CloseLate(t *testing.T) {
	var said strings.Builder
	p := place{Place: Place{TopicPrefix: "compare-abc.", RedisPrefix: "compare-abc"}, errs: &said, cmd: exec.Command("sleep", "600")}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in = in
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.close(10 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "not as they were") {
		t.Errorf("it ends with %v", err)
	}
	if want := "after 10ms the servers are not given back; what may be left: topics and groups compare-abc.*, database firstcome_compare_abc, in Redis firstcome-compare, compare-abc:* and coupon:*\n"; !strings.HasSuffix(said.String(), want) {
		t.Errorf("it says %q, want %q", said.String(), want)
	}
}
