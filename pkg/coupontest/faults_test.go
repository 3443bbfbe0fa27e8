package coupontest_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
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

// Faults would hit other tests.
func TestFaults_NotOnSharedServers(t *testing.T) {
	s := coupontest.Start(t, coupontest.Redis)
	for name, fault := range map[string]func(testing.TB, coupontest.Need){"Kill": s.Kill, "Restart": s.Restart, "Pause": s.Pause, "Resume": s.Resume} {
		if said := failure(t, func(tb testing.TB) { fault(tb, coupontest.Redis) }); said == "" {
			t.Errorf("%s: let it pass", name)
		}
	}
}
