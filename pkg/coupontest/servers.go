package coupontest

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Need is one of the servers that a test can ask for.
type Need string

// The servers.
const (
	Kafka    Need = "kafka"
	Redis    Need = "redis"
	Postgres Need = "postgres"
)

// How long a server may take to start (an image may have to be pulled), and one step of preparing or tidying up.
const (
	startTimeout = 5 * time.Minute
	stepTimeout  = 30 * time.Second
)

// Servers are a test's own place on the servers that it asked for.
type Servers struct {
	Kind        string   // "embedded", "containers" or "attached"
	Brokers     []string // of Kafka, host:port
	RedisAddr   string   // host:port
	DatabaseURL string   // of an empty database
	TopicPrefix string   // to put in front of topics and groups: KAFKA_TOPIC_PREFIX
	RedisPrefix string   // of this test's keys: REDIS_PREFIX

	set   *set
	alone bool
	admin string // URL of a Postgres database to give orders in
}

// Start gives the test a place on the servers of this test binary, and starts those that aren't running yet. No needs
// means all of them.
func Start(t testing.TB, needs ...Need) *Servers {
	t.Helper()
	return place(t, shared, false, needs)
}

// StartAlone gives the test servers of its own, which it may kill, restart and pause. They are reached through a proxy, so
// that their addresses stay the same. In containers Kafka obeys ACLs, which it has none of at first, and Redis has a disk
// (see Kill).
func StartAlone(t testing.TB, needs ...Need) *Servers {
	t.Helper()
	return startAlone(t, 0, needs)
}

func startAlone(t testing.TB, brokers int, needs []Need) *Servers {
	t.Helper()
	own := newSet(true)
	own.brokers = brokers
	t.Cleanup(func() {
		if err := own.close(); err != nil {
			t.Errorf("coupontest: %v", err)
		}
	})
	return place(t, own, true, needs)
}

func place(t testing.TB, from *set, alone bool, needs []Need) *Servers {
	t.Helper()
	if len(needs) == 0 {
		needs = []Need{Kafka, Redis, Postgres}
	}
	running, err := from.start(context.Background(), needs)
	if err != nil {
		t.Fatalf("coupontest: %v", err)
	}
	prefix := "t" + strings.ToLower(rand.Text()[:10])
	s := &Servers{Kind: from.kind.name, TopicPrefix: prefix + ".", RedisPrefix: prefix, set: from, alone: alone}
	if srv, ok := running[Kafka]; ok {
		s.Brokers = strings.Split(srv.address(), ",")
		t.Cleanup(func() { s.dropTopics(t) })
	}
	if srv, ok := running[Redis]; ok {
		s.RedisAddr = srv.address()
		t.Cleanup(func() { s.dropKeys(t) })
	}
	if srv, ok := running[Postgres]; ok {
		s.admin = srv.address()
		s.DatabaseURL = s.createDatabase(t, "")
	}
	return s
}

// Env are the servers and prefixes as the services' environment variables; only those that the test asked for.
func (s *Servers) Env() []string {
	var env []string
	if len(s.Brokers) > 0 {
		env = append(env, "KAFKA_BROKERS="+strings.Join(s.Brokers, ","), "KAFKA_TOPIC_PREFIX="+s.TopicPrefix)
	}
	if s.RedisAddr != "" {
		env = append(env, "REDIS_ADDR="+s.RedisAddr, "REDIS_PREFIX="+s.RedisPrefix)
	}
	if s.DatabaseURL != "" {
		env = append(env, "DATABASE_URL="+s.DatabaseURL)
	}
	return env
}

// Versions names the servers that run, one each, in the order Kafka, Redis, Postgres.
func (s *Servers) Versions(ctx context.Context) ([]string, error) { return s.set.versions(ctx) }

// tidy runs a step of the clean-up. A server that the test took away needs none.
func (s *Servers) tidy(t testing.TB, what string, step func(context.Context) error) {
	if s.alone {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	if err := step(ctx); err != nil {
		t.Errorf("coupontest: %s: %v", what, err)
	}
}

// must runs a step of a test's preparation.
func must(t testing.TB, what string, step func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	if err := step(ctx); err != nil {
		t.Fatalf("coupontest: %s: %v", what, err)
	}
}

func (n Need) missing() error {
	return fmt.Errorf("the test didn't ask for %s: name it in Start", n)
}
