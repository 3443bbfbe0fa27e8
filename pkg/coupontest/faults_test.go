package coupontest_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// alone gives servers to break; attached ones can't be broken, and that is said.
func alone(t *testing.T, needs ...coupontest.Need) *coupontest.Servers {
	t.Helper()
	return coupontest.StartAlone(t, needs...)
}

func TestKill_Kafka(t *testing.T) {
	s := alone(t, coupontest.Kafka)
	s.CreateTopics(t, 2)
	brokers := s.Brokers[0]
	s.Kill(t, coupontest.Kafka)
	client := s.Kafka(t)
	topic := client.Config().Topic(event.TopicRequests)
	within, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := client.Topic(within, topic); err == nil {
		t.Error("it answers after it was killed")
	}
	s.Restart(t, coupontest.Kafka)
	if s.Brokers[0] != brokers {
		t.Errorf("at %s, and was at %s", s.Brokers[0], brokers)
	}
	var backoff broker.Backoff
	got, err := client.Topic(t.Context(), topic)
	for err != nil && broker.Retriable(err) && backoff.Wait(t.Context()) == nil { // connections of before were cut
		got, err = client.Topic(t.Context(), topic)
	}
	if err != nil || got.Partitions != 2 {
		t.Errorf("after the restart: %+v, %v", got, err)
	}
}

func TestKill_Redis(t *testing.T) {
	s := alone(t, coupontest.Redis)
	client := s.Redis(t)
	if err := client.Set(t.Context(), "key", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Kill(t, coupontest.Redis)
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("it answers after it was killed")
	}
	s.Restart(t, coupontest.Redis)
	if n, err := client.Exists(t.Context(), "key").Result(); err != nil || n != 0 {
		t.Errorf("after the restart: %d keys, %v", n, err)
	}
}

// What Redis was told about its disk holds for the next start: an append-only file loses nothing, a snapshot is found as it
// was, and under another name there is nothing.
func TestKill_RedisWithDisk(t *testing.T) {
	s := alone(t, coupontest.Redis)
	if s.Kind == "embedded" {
		return // has no disk; TestKill_Redis
	}
	client := s.Redis(t)
	tell := func(pairs ...string) {
		t.Helper()
		for i := 0; i < len(pairs); i += 2 {
			if err := client.ConfigSet(t.Context(), pairs[i], pairs[i+1]).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.ConfigRewrite(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	write := func(value string) {
		t.Helper()
		if err := client.Set(t.Context(), "key", value, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	finds := func(want string) {
		t.Helper()
		s.KillRedis(t)
		client = s.Redis(t)
		if got := client.Get(t.Context(), "key").Val(); got != want {
			t.Errorf("after the restart: %q, want %q", got, want)
		}
	}
	tell("appendonly", "yes")
	var retry broker.Backoff
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for { // the file is begun in the background
		text, err := client.Info(ctx, "persistence").Result()
		if strings.Contains(text, "aof_rewrite_in_progress:0") {
			break
		}
		if retry.Wait(ctx) != nil {
			t.Fatalf("the append-only file is not begun: %v %s", err, text)
		}
	}
	write("1")
	finds("1")
	if err := client.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	write("2")
	tell("appendonly", "no")
	finds("1")
	tell("dbfilename", "none.rdb")
	finds("")
}

func TestKill_Postgres(t *testing.T) {
	s := alone(t, coupontest.Postgres)
	if err := exec(t.Context(), s.DatabaseURL, "CREATE TABLE grants AS SELECT 1 AS id"); err != nil {
		t.Fatal(err)
	}
	s.Kill(t, coupontest.Postgres)
	if err := exec(t.Context(), s.DatabaseURL, "SELECT 1"); err == nil {
		t.Error("it answers after it was killed")
	}
	s.Restart(t, coupontest.Postgres)
	conn, err := pgx.Connect(t.Context(), s.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var rows int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM grants").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("after the restart: %d rows, %v", rows, err)
	}
}

func TestPause(t *testing.T) {
	s := alone(t)
	s.CreateTopics(t, 1)
	kafka, redis := s.Kafka(t), s.Redis(t)
	topic := kafka.Config().Topic(event.TopicRequests)
	for need, ask := range map[coupontest.Need]func(context.Context) error{
		coupontest.Kafka:    func(ctx context.Context) error { _, _, err := kafka.Bounds(ctx, topic, 0); return err },
		coupontest.Redis:    func(ctx context.Context) error { return redis.Ping(ctx).Err() },
		coupontest.Postgres: func(ctx context.Context) error { return exec(ctx, s.DatabaseURL, "SELECT 1") },
	} {
		t.Run(string(need), func(t *testing.T) {
			if err := ask(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Pause(t, need)
			within, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			// The connection's deadline may pass a moment before the context's.
			if err := ask(within); err == nil || !errors.Is(within.Err(), context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("while paused: %v", err)
			}
			late := make(chan error, 1)
			go func() { late <- ask(t.Context()) }()
			s.Resume(t, need)
			if err := <-late; err != nil {
				t.Errorf("after it: %v", err)
			}
		})
	}
}

func TestPauseBroker(t *testing.T) {
	s := alone(t, coupontest.Kafka)
	s.CreateTopics(t, 1)
	kafka := s.Kafka(t)
	answers := func(t *testing.T, within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		_, _, err := kafka.Bounds(ctx, kafka.Config().Topic(event.TopicRequests), 0)
		return err
	}
	t.Run("until resumed", func(t *testing.T) {
		resume := s.PauseBroker(t)
		if err := answers(t, 200*time.Millisecond); err == nil {
			t.Error("it answers while it is paused")
		}
		resume()
		if err := answers(t, time.Minute); err != nil {
			t.Errorf("after it: %v", err)
		}
	})
	t.Run("until the test ends", func(t *testing.T) { s.PauseBroker(t) })
	if err := answers(t, time.Minute); err != nil {
		t.Errorf("after the test: %v", err)
	}
}

// Kafka refuses what an ACL denies, and lets everybody do what none is about.
func TestStartAlone_KafkaObeysACLs(t *testing.T) {
	s := alone(t, coupontest.Kafka)
	if s.Kind == "embedded" {
		return // kfake knows none
	}
	s.CreateTopics(t, 1)
	client := s.Kafka(t)
	topic := client.Config().Topic(event.TopicGrants)
	publish := func(topic string) error {
		p, err := producer.New(producer.Config{Client: client, Topic: topic})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		defer p.Close(ctx)
		_, err = p.PublishTo(ctx, 0, event.Message{Value: []byte("x")})
		return err
	}
	if err := publish(topic); err != nil {
		t.Fatal(err)
	}
	deny := kafka.ACLEntry{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ResourcePatternType: kafka.PatternTypeLiteral,
		Principal: "User:*", Host: "*", Operation: kafka.ACLOperationTypeWrite, PermissionType: kafka.ACLPermissionTypeDeny,
	}
	if res, err := client.Kafka().CreateACLs(t.Context(), &kafka.CreateACLsRequest{ACLs: []kafka.ACLEntry{deny}}); err != nil || errors.Join(res.Errors...) != nil {
		t.Fatal(err, res)
	}
	var backoff broker.Backoff
	err := publish(topic)
	for err == nil && backoff.Wait(t.Context()) == nil && backoff.Tries() < 50 { // an ACL counts a moment later
		err = publish(topic)
	}
	// Who learns of the topic only now is not even told that it is there, and waits for it.
	if err == nil {
		t.Error("what is denied is written")
	}
	if err := publish(client.Config().Topic(event.TopicRequests)); err != nil {
		t.Errorf("another topic: %v", err)
	}
}

// A partition of three replicas goes on under another leader when its own is killed, and the killed one comes back.
func TestKillBroker(t *testing.T) {
	if kind := os.Getenv(coupontest.EnvServers); kind != "containers" {
		if said := failure(t, func(tb testing.TB) { coupontest.StartCluster(tb, 3, coupontest.Kafka) }); !strings.Contains(said, "only be had in containers") {
			t.Errorf("on %q servers: %q", kind, said)
		}
		return
	}
	s := coupontest.StartCluster(t, 3, coupontest.Kafka)
	client := s.Kafka(t)
	topic := client.Config().Topic(event.TopicRequests)
	spec := broker.TopicSpec{Name: topic, Partitions: 1, Replication: 3, Config: map[string]string{"min.insync.replicas": "2"}}
	if err := client.CreateTopics(t.Context(), []broker.TopicSpec{spec}); err != nil {
		t.Fatal(err)
	}
	first := leader(t, client, topic, 0)
	s.KillBroker(t, first)
	second := leader(t, client, topic, first)
	s.RestartBroker(t, first)
	s.KillBroker(t, second)
	if third := leader(t, client, topic, second); third == second {
		t.Errorf("broker %d leads after it was killed", third)
	}
	if said := failure(t, func(tb testing.TB) { s.KillBroker(tb, 4) }); !strings.Contains(said, "no broker 4 among 3") {
		t.Errorf("the fourth of three: %q", said)
	}
	if said := failure(t, func(tb testing.TB) { s.Kill(tb, coupontest.Kafka) }); !strings.Contains(said, "KillBroker") {
		t.Errorf("all of them: %q", said)
	}
}

// leader waits until another broker than the one that was leads the topic's only partition.
func leader(t *testing.T, client *broker.Client, topic string, was int) int {
	t.Helper()
	var backoff broker.Backoff
	for {
		meta, err := client.Kafka().Metadata(t.Context(), &kafka.MetadataRequest{Topics: []string{topic}})
		if err == nil && len(meta.Topics) == 1 && len(meta.Topics[0].Partitions) == 1 {
			if id := meta.Topics[0].Partitions[0].Leader.ID; id > 0 && id != was {
				return id
			}
		}
		if backoff.Wait(t.Context()) != nil || backoff.Tries() > 200 {
			t.Fatalf("no broker but %d leads: %v", was, err)
		}
	}
}

// Faults would hit other tests.
func TestFaults_NotOnSharedServers(t *testing.T) {
	s := coupontest.Start(t, coupontest.Redis)
	for name, fault := range map[string]func(testing.TB, coupontest.Need){"Kill": s.Kill, "Restart": s.Restart, "Pause": s.Pause, "Resume": s.Resume} {
		if said := failure(t, func(tb testing.TB) { fault(tb, coupontest.Redis) }); said == "" {
			t.Errorf("%s: let it pass", name)
		}
	}
}
