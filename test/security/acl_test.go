// Package security_test holds what docs/security.md says about Kafka to the services themselves.
package security_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/token"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
	"github.com/firstcome/firstcome/services/gateway"
	"github.com/firstcome/firstcome/services/issuer"
	"github.com/firstcome/firstcome/services/ledger"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

const (
	parts = 2
	soon  = 2 * time.Minute // longer than anything takes that is going to happen at all
)

// as is the configuration of a principal.
func (k secureKafka) as(user string) broker.Config {
	return broker.Config{Brokers: []string{k.addr}, SASLMechanism: broker.Plain, SASLUsername: user, SASLPassword: secretOf(user)}
}

func secretOf(user string) string { return "secret-of-" + user }

func (k secureKafka) client(t *testing.T, user string) *broker.Client {
	t.Helper()
	client, err := broker.New(k.as(user))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// documented are the ACLs that docs/security.md gives as commands.
func documented(t *testing.T) []kafka.ACLEntry {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	operations := map[string]kafka.ACLOperationType{"Read": kafka.ACLOperationTypeRead, "Write": kafka.ACLOperationTypeWrite,
		"Describe": kafka.ACLOperationTypeDescribe, "DescribeConfigs": kafka.ACLOperationTypeDescribeConfigs}
	var all []kafka.ACLEntry
	for line := range strings.Lines(string(page)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "kafka-acls.sh $KAFKA --add ")
		if !ok {
			continue
		}
		words := strings.Fields(rest)
		entry := kafka.ACLEntry{ResourcePatternType: kafka.PatternTypeLiteral, Host: "*", PermissionType: kafka.ACLPermissionTypeAllow}
		var asked []kafka.ACLOperationType
		for i := 0; i+1 < len(words); i += 2 {
			switch value := words[i+1]; words[i] {
			case "--allow-principal":
				entry.Principal = value
			case "--operation":
				operation, known := operations[value]
				if !known {
					t.Fatalf("%s: an operation of that name is not known", line)
				}
				asked = append(asked, operation)
			case "--topic":
				entry.ResourceType, entry.ResourceName = kafka.ResourceTypeTopic, value
			case "--group":
				entry.ResourceType, entry.ResourceName = kafka.ResourceTypeGroup, value
			default:
				t.Fatalf("%s: %s is not understood", line, words[i])
			}
		}
		for _, operation := range asked {
			entry.Operation = operation
			all = append(all, entry)
		}
	}
	if len(all) < 10 {
		t.Fatalf("only %d rights are documented: that cannot be all", len(all))
	}
	return all
}

// prepare makes the topics and gives the rights, as an operator does.
func (k secureKafka) prepare(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	admin := k.client(t, superuser)
	if err := admin.CreateTopics(ctx, []broker.TopicSpec{
		{Name: event.TopicRequests, Partitions: parts, Replication: 1, Config: map[string]string{"message.timestamp.type": "LogAppendTime"}},
		{Name: event.TopicGrants, Partitions: parts, Replication: 1},
		{Name: event.TopicDeadLetters, Partitions: 1, Replication: 1},
	}); err != nil {
		t.Fatal(err)
	}
	res, err := admin.Kafka().CreateACLs(ctx, &kafka.CreateACLsRequest{ACLs: documented(t)})
	if err != nil || errors.Join(res.Errors...) != nil {
		t.Fatal(err, res)
	}
}

// system is each service as its own principal.
type system struct {
	t                 *testing.T
	gateway, ledger   string // URLs
	stop              func()
	ready             []func() []string
	admin, shop, desk string // tokens
}

func start(t *testing.T, k secureKafka, servers *coupontest.Servers) *system {
	t.Helper()
	s := &system{t: t, admin: "admin-secret", shop: "shop-secret", desk: "desk-secret"}
	log := slog.New(slog.NewTextHandler(lines{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	redis := env.Redis{Addr: []string{servers.RedisAddr}, Mode: "single", Prefix: servers.RedisPrefix}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 3)
	run := func(err error, service interface {
		Run(context.Context) error
		Ready() []string
	}) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		s.ready = append(s.ready, service.Ready)
		go func() { ended <- service.Run(ctx) }()
	}
	i, err := issuer.New(issuer.Config{Config: k.as("issuer"), Redis: redis, AllowCreateTime: true}, log, prometheus.NewRegistry())
	run(err, i)
	l, err := ledger.New(ledger.Config{Config: k.as("ledger"), DatabaseURL: servers.DatabaseURL, ListenAddr: "127.0.0.1:0", ReadTokens: tokens(t, "desk="+s.desk)}, log, prometheus.NewRegistry())
	run(err, l)
	g, err := gateway.New(gateway.Config{
		Config: k.as("gateway"), Redis: redis, ListenAddr: "127.0.0.1:0", AllowCreateTime: true,
		AdminTokens: tokens(t, "root="+s.admin), ClaimTokens: tokens(t, "shop="+s.shop), ClaimIDKeys: "7=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=",
	}, log, prometheus.NewRegistry())
	run(err, g)
	s.gateway, s.ledger = "http://"+g.Addr().String(), "http://"+l.Addr().String()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		for range s.ready {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(s.stop)
	return s
}

type lines struct{ t *testing.T }

func (l lines) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func tokens(t *testing.T, list string) token.Set {
	t.Helper()
	set, err := token.Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func (s *system) eventually(what string, so func() bool) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(soon); !so(); {
		select {
		case <-late:
			var waits []string
			for _, ready := range s.ready {
				waits = append(waits, ready()...)
			}
			s.t.Fatalf("waited in vain until %s; waiting for %q", what, waits)
		case <-tick.C:
		}
	}
}

func (s *system) call(method, url, token, body string) (status int, text string) {
	s.t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Prefer", "wait=20")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// With the documented rights each program does its part, dead letters included.
func TestACLs(t *testing.T) {
	servers := coupontest.Start(t, coupontest.Redis, coupontest.Postgres)
	k := startSecureKafka(t, servers.Kind)
	k.prepare(t)
	s := start(t, k, servers)
	s.eventually("all are ready", func() bool {
		for _, ready := range s.ready {
			if len(ready()) > 0 {
				return false
			}
		}
		return true
	})

	// The gateway defines and claims, and an upstream system does, and writes what is no record.
	s.eventually("the gateway defines", func() bool {
		status, _ := s.call("PUT", s.gateway+"/v1/coupons/tea", s.admin, `{"limit":5}`)
		return status == http.StatusCreated || status == http.StatusOK
	})
	if status, text := s.call("POST", s.gateway+"/v1/coupons/tea/claims", s.shop, `{"user_id":"u1"}`); status != http.StatusOK {
		t.Fatalf("the gateway's claim is answered %d %s", status, text)
	}
	s.upstream(k)
	s.eventually("the ledger has both grants", func() bool {
		status, text := s.call("GET", s.ledger+"/v1/grants?coupon_id=tea", s.desk, "")
		return status == http.StatusOK && strings.Contains(text, `"u1"`) && strings.Contains(text, `"u2"`)
	})
	admin := k.client(t, superuser)
	s.eventually("what is no record is a dead letter", func() bool {
		ends, err := admin.Ends(t.Context(), event.TopicDeadLetters)
		return err == nil && ends[0] == 1
	})
	s.stop()
	k.matrix(t)
}

func (s *system) upstream(k secureKafka) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), soon)
	defer cancel()
	out, err := producer.New(producer.Config{Client: k.client(s.t, "upstream"), Topic: event.TopicRequests})
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close(ctx)
	claim, err := event.ClaimRequested{CouponID: "tea", UserID: "u2"}.Message(event.Meta{Source: "/upstream"})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := out.Publish(ctx, claim); err != nil {
		s.t.Fatalf("the upstream's claim: %v", err)
	}
	if _, err := out.PublishTo(ctx, 0, event.Message{Value: []byte("no record")}); err != nil {
		s.t.Fatal(err)
	}
}

// matrix tries for each principal what it may, and what it may not.
func (k secureKafka) matrix(t *testing.T) {
	t.Helper()
	const requests, grants, letters = event.TopicRequests, event.TopicGrants, event.TopicDeadLetters
	for _, who := range []struct {
		name        string
		write, read []string
	}{
		{"gateway", []string{requests}, nil},
		{"issuer", []string{grants, letters}, []string{requests, grants}},
		{"ledger", []string{letters}, []string{grants}},
		{"upstream", []string{requests}, nil},
		{"import", []string{requests}, []string{grants}},
		{"stranger", nil, nil},
	} {
		client := k.client(t, who.name)
		for _, topic := range []string{requests, grants, letters} {
			k.expect(t, who.name+" writes "+topic, slices.Contains(who.write, topic), write(t, client, topic))
			k.expect(t, who.name+" reads "+topic, slices.Contains(who.read, topic), read(t, client, topic))
		}
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		err := client.CreateTopics(ctx, []broker.TopicSpec{{Name: "coupon.other", Partitions: 1, Replication: 1}})
		cancel()
		k.expect(t, who.name+" makes a topic", false, err)
	}
	for name, may := range map[string]bool{"import": true, "upstream": false} {
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		_, _, err := k.client(t, name).Committed(ctx, "firstcome.issuer", requests, 0)
		cancel()
		if may != (err == nil) || !may && !errors.Is(err, kafka.GroupAuthorizationFailed) {
			t.Errorf("%s asks how far the issuers are: %v, allowed: %v", name, err, may)
		}
	}
}

func (k secureKafka) expect(t *testing.T, what string, may bool, err error) {
	t.Helper()
	// Who has no right at all to a topic is not even told that it is there.
	refused := errors.Is(err, kafka.TopicAuthorizationFailed) || errors.Is(err, kafka.ClusterAuthorizationFailed) || errors.Is(err, protocol.ErrNoTopic)
	if may && err != nil || !may && !refused {
		t.Errorf("%s: %v, allowed: %v", what, err, may)
	}
}

func write(t *testing.T, client *broker.Client, topic string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	res, err := client.Kafka().Produce(ctx, &kafka.ProduceRequest{Topic: topic, RequiredAcks: kafka.RequireAll,
		Records: kafka.NewRecordReader(kafka.Record{Value: kafka.NewBytes([]byte("x"))})})
	if err != nil {
		return err
	}
	return res.Error
}

func read(t *testing.T, client *broker.Client, topic string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	res, err := client.Kafka().Fetch(ctx, &kafka.FetchRequest{Topic: topic, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Millisecond})
	if err != nil {
		return err
	}
	return res.Error
}
