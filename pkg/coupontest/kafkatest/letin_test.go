package kafkatest

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/sha512"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/segmentio/kafka-go"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// guarded starts a Kafka that is spoken to over TLS, by "firstcome" with the
// password "secret", and makes the requests log.
func guarded(t *testing.T, ca authority) (address string) {
	t.Helper()
	if os.Getenv(coupontest.EnvServers) == "containers" {
		return guardedContainer(t, ca)
	}
	options := append(saslServer(broker.ScramSHA512), ca.server(t, tls.NoClientCert), kfake.NumBrokers(1), kfake.SeedTopics(2, event.TopicRequests))
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()[0]
}

// startKafka makes the image's configuration writable first: the image
// rewrites it, and not every build of it could.
const startKafka = `for f in /etc/kafka/docker/*.yaml /etc/kafka/docker/*.properties /opt/kafka/config/*; do
  [ ! -f "$f" ] || [ -w "$f" ] || { cp "$f" "$f~" && chmod u+w "$f~" && mv -f "$f~" "$f"; }
done
exec /etc/kafka/docker/run`

func guardedContainer(t *testing.T, ca authority) string {
	t.Helper()
	var pair bytes.Buffer // the certificate and its key, which Kafka reads from one file
	certFile, keyFile := ca.sign(t)
	for _, file := range []string{keyFile, certFile} {
		pem, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pair.Write(pem)
	}
	clients, admin := freePort(t), freePort(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c, err := testcontainers.Run(ctx, "apache/kafka:4.3.1",
		testcontainers.WithEnv(map[string]string{
			"KAFKA_NODE_ID": "1", "KAFKA_PROCESS_ROLES": "broker,controller", "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
			"KAFKA_LISTENERS":                                                "CLIENTS://:9092,ADMIN://:9094,CONTROLLER://:9093",
			"KAFKA_ADVERTISED_LISTENERS":                                     fmt.Sprintf("CLIENTS://127.0.0.1:%d,ADMIN://127.0.0.1:%d", clients, admin),
			"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":                           "CLIENTS:SASL_SSL,ADMIN:PLAINTEXT,CONTROLLER:PLAINTEXT",
			"KAFKA_INTER_BROKER_LISTENER_NAME":                               "ADMIN",
			"KAFKA_CONTROLLER_LISTENER_NAMES":                                "CONTROLLER",
			"KAFKA_LISTENER_NAME_CLIENTS_SSL_KEYSTORE_TYPE":                  "PEM",
			"KAFKA_LISTENER_NAME_CLIENTS_SSL_KEYSTORE_LOCATION":              "/tmp/broker.pem",
			"KAFKA_SASL_ENABLED_MECHANISMS":                                  broker.ScramSHA512,
			"KAFKA_LISTENER_NAME_CLIENTS_SCRAM___SHA___512_SASL_JAAS_CONFIG": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
			"KAFKA_AUTO_CREATE_TOPICS_ENABLE":                                "false",
			"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":                         "1",
			"KAFKA_HEAP_OPTS":                                                "-Xmx512m -Xms256m",
		}),
		testcontainers.WithFiles(testcontainers.ContainerFile{Reader: &pair, ContainerFilePath: "/tmp/broker.pem", FileMode: 0o644}),
		testcontainers.WithExposedPorts("9092/tcp", "9094/tcp"),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			loopback := func(port int) []network.PortBinding {
				return []network.PortBinding{{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: fmt.Sprint(port)}}
			}
			h.PortBindings = network.PortMap{network.MustParsePort("9092/tcp"): loopback(clients), network.MustParsePort("9094/tcp"): loopback(admin)}
		}),
		testcontainers.WithEntrypoint("sh", "-c", startKafka), testcontainers.WithCmd(),
		testcontainers.WithWaitStrategyAndDeadline(2*time.Minute, wait.ForLog("Transitioning from RECOVERY to RUNNING")),
	)
	testcontainers.CleanupContainer(t, c)
	if err != nil {
		t.Fatal(err)
	}
	client, err := broker.New(broker.Config{Brokers: []string{fmt.Sprintf("127.0.0.1:%d", admin)}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	makeTopic(t, client, event.TopicRequests, 2, nil)
	salted, err := pbkdf2.Key(sha512.New, "secret", []byte("salt"), 4096, sha512.Size)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Kafka().AlterUserScramCredentials(ctx, &kafka.AlterUserScramCredentialsRequest{
		Upsertions: []kafka.UserScramCredentialsUpsertion{{
			Name: "firstcome", Mechanism: kafka.ScramMechanismSha512, Iterations: 4096, Salt: []byte("salt"), SaltedPassword: salted,
		}},
	})
	if err != nil || res.Results[0].Error != nil {
		t.Fatal(err, res)
	}
	return fmt.Sprintf("127.0.0.1:%d", clients)
}

func freePort(t *testing.T) int {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	return free.Addr().(*net.TCPAddr).Port
}

// Who is not let in is told so at once, however long it would have waited; who
// can't know whether the broker is only restarting goes on, and says so.
func TestProducer_isLetInOrToldWhyNot(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	address := guarded(t, ca)
	// kfake hangs up on who is not let in, as a broker does that restarts.
	hangsUp := os.Getenv(coupontest.EnvServers) != "containers"
	right := broker.Config{
		Brokers: []string{address}, TLS: true, TLSCA: ca.file,
		SASLMechanism: broker.ScramSHA512, SASLUsername: "firstcome", SASLPassword: "secret",
	}
	with := func(change func(*broker.Config)) broker.Config {
		cfg := right
		change(&cfg)
		return cfg
	}
	for _, tt := range []struct {
		name  string
		cfg   broker.Config
		says  string // what the error says, or else the log
		tries bool   // again and again
	}{
		{"right", right, "", false},
		{"wrong CA", with(func(c *broker.Config) { c.TLSCA = other.file }), "certificate signed by unknown authority", false},
		{"wrong password", with(func(c *broker.Config) { c.SASLPassword = "guess" }), "authenticating firstcome by SCRAM-SHA-512: ", hangsUp},
		{"wrong user", with(func(c *broker.Config) { c.SASLUsername = "somebody" }), "authenticating somebody by SCRAM-SHA-512: ", hangsUp},
		{"another mechanism", with(func(c *broker.Config) { c.SASLMechanism = broker.Plain }), "authenticating firstcome by PLAIN: ", hangsUp},
		{"no TLS", with(func(c *broker.Config) { c.TLS, c.TLSCA = false, "" }), "asking for topic coupon.requests: ", true},
		{"no SASL", broker.Config{Brokers: right.Brokers, TLS: true, TLSCA: ca.file}, "asking for topic coupon.requests: ", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, err := broker.New(tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			ctx, cancel := context.WithCancel(soon(t))
			var said logged
			go func() {
				for ctx.Err() == nil && len(said.warnings()) == 0 {
					(&broker.Backoff{}).Wait(ctx)
				}
				cancel()
			}()
			made := place{Client: client}.producer(t, func(c *producer.Config) { c.Log = slog.New(slog.NewTextHandler(&said, nil)) })
			_, err = made.Publish(ctx, numbered("row", 0))
			tries := ctx.Err() != nil
			cancel()
			if (err != nil) != (tt.says != "") || err != nil && !errors.Is(err, producer.ErrUnavailable) || tries != tt.tries {
				t.Fatalf("%v; it tried again and again: %v", err, tries)
			}
			if warnings := strings.Join(said.warnings(), ""); err != nil && !strings.Contains(err.Error(), tt.says) || tries && !strings.Contains(warnings, tt.says) {
				t.Errorf("the error is %v, the log %s", err, warnings)
			}
		})
	}
}
