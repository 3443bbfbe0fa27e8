package coupontest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/coupontest/embedded"
	"github.com/firstcome/firstcome/pkg/event"
)

// programs is a folder for what tests build.
var programs string

// endVariable says how a test binary is to end; most ways leave it no chance to stop what it started.
const endVariable = "COUPONTEST_TEST_END"

// TestMain has the reaper do all the work where TestReaper wants to see it do that.
func TestMain(m *testing.M) {
	if os.Getenv(endVariable) == "bare" {
		os.Exit(m.Run())
	}
	coupontest.Main(withPrograms{m})
}

type withPrograms struct{ m *testing.M }

func (w withPrograms) Run() int {
	var err error
	if programs, err = os.MkdirTemp("", "coupontest-programs-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programs)
	return w.m.Run()
}

func exec(ctx context.Context, databaseURL, command string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, command)
	return err
}

// The same names in every test, side by side: each has its own topics, keys and database.
func TestStart_Isolated(t *testing.T) {
	for _, name := range []string{"a", "b", "c"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := coupontest.Start(t)
			s.CreateTopics(t, 2)
			if topics := topicsOf(t, s); len(topics) != 3 {
				t.Errorf("topics %q", topics)
			}
			client := s.Redis(t)
			if fresh, err := client.SetNX(t.Context(), s.RedisPrefix+":{0}:progress", name, 0).Result(); err != nil || !fresh {
				t.Errorf("the key is another test's, or %v", err)
			}
			if err := exec(t.Context(), s.DatabaseURL, "CREATE TABLE grants (id int)"); err != nil {
				t.Error(err)
			}
		})
	}
}

func topicsOf(t *testing.T, s *coupontest.Servers) []string {
	t.Helper()
	meta, err := s.Kafka(t).Kafka().Metadata(t.Context(), &kafka.MetadataRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, topic := range meta.Topics {
		if strings.HasPrefix(topic.Name, s.TopicPrefix) {
			names = append(names, topic.Name)
		}
	}
	return names
}

func TestStart_Tidies(t *testing.T) {
	witness := coupontest.Start(t)
	var gone *coupontest.Servers
	t.Run("a test", func(t *testing.T) {
		gone = coupontest.Start(t)
		gone.CreateTopics(t, 1)
		if err := gone.Redis(t).Set(t.Context(), gone.RedisPrefix+":{0}:progress", "1", 0).Err(); err != nil {
			t.Fatal(err)
		}
	})
	names := topicsOf(t, &coupontest.Servers{Brokers: gone.Brokers, TopicPrefix: gone.TopicPrefix})
	if len(names) != 0 {
		t.Errorf("topics left: %q", names)
	}
	if keys := witness.Redis(t).Keys(t.Context(), gone.RedisPrefix+"*").Val(); len(keys) != 0 {
		t.Errorf("keys left: %q", keys)
	}
	var refused *pgconn.PgError
	if err := exec(t.Context(), gone.DatabaseURL, "SELECT 1"); !errors.As(err, &refused) || refused.Code != "3D000" {
		t.Errorf("the database is left: %v", err)
	}
}

func TestStart_OnlyWhatIsNeeded(t *testing.T) {
	s := coupontest.Start(t, coupontest.Redis)
	if len(s.Brokers) != 0 || s.DatabaseURL != "" {
		t.Errorf("%+v", s)
	}
	env := s.Env()
	if len(env) != 2 || env[0] != "REDIS_ADDR="+s.RedisAddr || env[1] != "REDIS_PREFIX="+s.RedisPrefix {
		t.Errorf("%q", env)
	}
}

func TestCreateTopics(t *testing.T) {
	s := coupontest.Start(t, coupontest.Kafka)
	s.CreateTopics(t, 4)
	client := s.Kafka(t)
	for name, want := range map[string]struct {
		partitions int
		appendTime bool
	}{event.TopicRequests: {4, true}, event.TopicGrants: {4, false}, event.TopicDeadLetters: {1, false}} {
		got, err := client.Topic(t.Context(), client.Config().Topic(name))
		if err != nil {
			t.Fatal(err)
		}
		if got.Partitions != want.partitions || got.LogAppendTime != want.appendTime {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestFlushRedis(t *testing.T) {
	mine, other := coupontest.Start(t, coupontest.Redis), coupontest.Start(t, coupontest.Redis)
	for _, s := range []*coupontest.Servers{mine, other} {
		for _, key := range []string{":{0}:progress", ":{1}:progress"} {
			if err := s.Redis(t).Set(t.Context(), s.RedisPrefix+key, "1", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	mine.FlushRedis(t)
	if keys := mine.Redis(t).Keys(t.Context(), mine.RedisPrefix+":*").Val(); len(keys) != 0 {
		t.Errorf("left: %q", keys)
	}
	if keys := other.Redis(t).Keys(t.Context(), other.RedisPrefix+":*").Val(); len(keys) != 2 {
		t.Errorf("another test has %q", keys)
	}
}

func TestDatabaseFrom(t *testing.T) {
	s := coupontest.Start(t, coupontest.Postgres)
	prepared := 0
	prepare := func(ctx context.Context, databaseURL string) error {
		prepared++
		return exec(ctx, databaseURL, "CREATE TABLE grants (id int PRIMARY KEY)")
	}
	for range 2 { // each its own copy
		if err := exec(t.Context(), s.DatabaseFrom(t, t.Name(), prepare), "INSERT INTO grants VALUES (1)"); err != nil {
			t.Fatal(err)
		}
	}
	if prepared != 1 {
		t.Errorf("prepared %d times", prepared)
	}
}

func TestVersions(t *testing.T) {
	s := coupontest.Start(t)
	versions, err := s.Versions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"embedded":   {"kfake v", "miniredis v", "PostgreSQL "},
		"containers": {"Apache Kafka 4.3.1", "Redis 8.0", "PostgreSQL 17."},
		"attached":   {"Kafka at ", "Redis ", "PostgreSQL "},
	}[s.Kind]
	if len(versions) != len(want) {
		t.Fatalf("%q", versions)
	}
	for i := range want {
		if !strings.HasPrefix(versions[i], want[i]) {
			t.Errorf("%q, want %q", versions[i], want[i])
		}
	}
}

// The versions of the fakes are written in the code, since test binaries don't know the modules they are made of.
func TestVersions_AsInGoMod(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for module, told := range pinned {
		_, version, _ := strings.Cut(told, " ")
		if !strings.Contains(string(text), module+" "+version+"\n") {
			t.Errorf("go.mod doesn't have %s %s", module, version)
		}
	}
}

var pinned = map[string]string{
	"github.com/twmb/franz-go/pkg/kfake": embedded.KafkaVersion,
	"github.com/alicebob/miniredis/v2":   embedded.RedisVersion,
}
