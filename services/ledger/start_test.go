package ledger

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/firstcome/firstcome/internal/token"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

func (w *world) exec(sql string) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(w.t.Context(), sql); err != nil {
		w.t.Fatal(err)
	}
}

// metric is a counter's value: of dead letters by reason, or of unknown types.
func (s *Service) metric(name string) float64 {
	var c prometheus.Counter = s.metrics.unknown
	if name != "unknown" {
		c = s.metrics.deadLetters.WithLabelValues(name)
	}
	return testutil.ToFloat64(c)
}

func valid(t testing.TB) Config {
	t.Helper()
	tokens, err := token.Parse("desk=" + secret)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Config: broker.Config{Brokers: []string{"127.0.0.1:1"}}, DatabaseURL: "postgres://u:hush@127.0.0.1:1/x", ListenAddr: "127.0.0.1:0", ReadTokens: tokens}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"good", func(*Config) {}, nil},
		{"no tokens", func(c *Config) { c.ReadTokens = token.Set{} }, []string{"READ_TOKENS"}},
		{"no database", func(c *Config) { c.DatabaseURL = "" }, []string{"DATABASE_URL"}},
		{"another database", func(c *Config) { c.DatabaseURL = "mysql://u:hush@x/y?z" }, []string{"DATABASE_URL"}},
		{"half a certificate", func(c *Config) { c.CertFile = "tls.crt" }, []string{"TLS_KEY"}},
		{"no certificate there", func(c *Config) { c.CertFile, c.KeyFile = "nowhere.crt", "nowhere.key" }, []string{"TLS_CERT", "nowhere.crt"}},
		{"everything", func(c *Config) { *c = Config{} }, []string{"KAFKA_BROKERS", "DATABASE_URL", "READ_TOKENS"}},
		{"local mode", func(c *Config) { c.ReadTokens = token.Set{}; c.AllowAnonymous = true }, nil},
		{"local mode for everyone", func(c *Config) { c.ListenAddr = "0.0.0.0:0"; c.AllowAnonymous = true }, []string{"loopback"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := valid(t)
			c.change(&cfg)
			s, err := New(cfg, quiet, prometheus.NewRegistry())
			if s != nil {
				s.close()
			}
			if (err == nil) != (c.want == nil) {
				t.Fatal(err)
			}
			for _, name := range c.want {
				if !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hush") {
					t.Errorf("%q does not speak of %s, or of too much", err, name)
				}
			}
		})
	}
}

// Nothing is there yet; the ledger says what it waits for, answers 503, and begins as things appear.
func TestService_StartsFirst(t *testing.T) {
	servers := coupontest.StartAlone(t, journalServers...)
	w := &world{t: t, servers: servers, url: servers.DatabaseURL, client: servers.Kafka(t)}
	servers.Kill(t, coupontest.Postgres)
	var l logs
	s, stop := w.start(&l, nil)
	topics := []string{"topic " + servers.TopicPrefix + event.TopicDeadLetters, "topic " + servers.TopicPrefix + event.TopicGrants, "topic " + servers.TopicPrefix + event.TopicRequests}
	all := append([]string{"Postgres", "the schema in Postgres"}, topics...)
	eventually(t, "it says what it waits for", func() bool { return slices.Equal(s.Ready(), all) })
	res, body := ask(t, "GET", "http://"+s.Addr().String()+"/v1/grants", nil)
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	servers.Restart(t, coupontest.Postgres)
	eventually(t, "Postgres is there", func() bool { return slices.Equal(s.Ready(), topics) })
	servers.CreateTopics(t, 2)
	eventually(t, "all is there", func() bool { return len(s.Ready()) == 0 })
	if res, body := ask(t, "GET", "http://"+s.Addr().String()+"/v1/grants", nil); res.StatusCode != 200 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	for need, name := range map[coupontest.Need]string{coupontest.Postgres: "Postgres", coupontest.Kafka: "Kafka"} {
		servers.Kill(t, need)
		eventually(t, "it says that it is away: "+name, func() bool { return slices.Contains(s.Ready(), name) })
	}
	stop()
}

// A server that is there and does not answer keeps no ledger from stopping, not even within a batch.
func TestService_StopsWhileNobodyAnswers(t *testing.T) {
	for _, need := range journalServers {
		t.Run(string(need), func(t *testing.T) {
			t.Parallel()
			servers := coupontest.StartAlone(t, journalServers...)
			w := newWorld(t, servers, 2)
			var l logs
			s, stop := w.start(&l, nil)
			w.grow(30)
			w.caughtUp()
			servers.Pause(t, need)
			if need == coupontest.Postgres {
				w.grow(30)
			}
			eventually(t, "it says that nobody answers", func() bool { return len(s.Ready()) > 0 })
			stop()
			servers.Resume(t, need)
		})
	}
}

// Kafka and Postgres are killed while the journal is written: nothing is lost and nothing comes twice.
func TestService_ServersKilled(t *testing.T) {
	servers := coupontest.StartAlone(t, journalServers...)
	w := newWorld(t, servers, 2)
	var l logs
	w.start(&l, nil)
	w.grow(100)
	w.caughtUp()
	for _, need := range journalServers {
		w.grow(100)
		servers.Kill(t, need)
		servers.Restart(t, need)
		w.grow(100)
		w.caughtUp()
		w.exact()
	}
	if got := w.letters(); len(got) > 0 {
		t.Errorf("dead letters: %v", got)
	}
}

func TestService_PartitionsDiffer(t *testing.T) {
	servers := coupontest.Start(t, journalServers...)
	client := servers.Kafka(t)
	var specs []broker.TopicSpec
	for name, partitions := range map[string]int{event.TopicRequests: 3, event.TopicGrants: 2, event.TopicDeadLetters: 1} {
		specs = append(specs, broker.TopicSpec{Name: servers.TopicPrefix + name, Partitions: partitions, Replication: 1})
	}
	if err := client.CreateTopics(t.Context(), specs); err != nil {
		t.Fatal(err)
	}
	cfg := valid(t)
	cfg.Config = broker.Config{Brokers: servers.Brokers, TopicPrefix: servers.TopicPrefix}
	cfg.DatabaseURL = servers.DatabaseURL
	s, err := New(cfg, quiet, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "has 3 partitions") {
		t.Errorf("got %v", err)
	}
}

// The database knows a journal that is not this one: nothing is written, and the ledger says what is wrong until it is
// put right.
func TestService_AnotherJournal(t *testing.T) {
	for name, c := range map[string]struct{ sql, says, heal string }{
		"a shorter one": {`UPDATE ledger_offsets SET next_offset = next_offset + 1000`, "ends at offset", `UPDATE ledger_offsets SET next_offset = next_offset - 1000`},
		"another one": {`UPDATE ledger_offsets SET last_time = last_time + interval '1 ms'`, "is not the one that was written",
			`UPDATE ledger_offsets SET last_time = last_time - interval '1 ms'`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, coupontest.Start(t, journalServers...), 1)
			var l logs
			s, _ := w.start(&l, nil)
			w.grow(50)
			w.caughtUp()
			w.exec(c.sql)
			waits := func() string { return strings.Join(s.Ready(), "\n") }
			eventually(t, "it says what is wrong", func() bool { return strings.Contains(waits(), c.says) })
			w.grow(50)
			if len(l.alarms()) == 0 {
				t.Error("no alarm")
			}
			if w.highest(0) {
				t.Error("it went on")
			}
			w.exec(c.heal)
			w.caughtUp()
			w.exact()
			eventually(t, "all is well", func() bool { return waits() == "" })
		})
	}
}

// Requests in flight are answered when the ledger stops.
func TestService_Stops(t *testing.T) {
	checkLeaks(t, journalServers...)
	w := newWorld(t, coupontest.Start(t, journalServers...), 1)
	var l logs
	slow := &slowStore{asked: make(chan struct{}), answer: make(chan struct{})}
	s, stop := w.start(&l, func(s *Service) { slow.store, s.api.store = s.api.store, slow })
	status := make(chan int, 1)
	go func() {
		r, _ := http.NewRequest("GET", "http://"+s.Addr().String()+"/v1/coupons/tea/summary", nil)
		r.Header.Set("Authorization", "Bearer "+secret)
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		if err != nil {
			status <- 0
			return
		}
		res.Body.Close()
		status <- res.StatusCode
	}()
	select {
	case <-slow.asked:
	case got := <-status:
		t.Fatalf("answered %d at once", got)
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	eventually(t, "it takes no more requests", func() bool {
		conn, err := net.DialTimeout("tcp", s.Addr().String(), time.Second)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	close(slow.answer)
	if got := <-status; got != 404 {
		t.Errorf("answered %d", got)
	}
	<-stopped
}

type slowStore struct {
	store
	asked, answer chan struct{}
}

func (s *slowStore) Coupon(ctx context.Context, id string) (postgres.Coupon, error) {
	close(s.asked)
	<-s.answer
	return s.store.Coupon(ctx, id)
}
