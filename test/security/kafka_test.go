package security_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/firstcome/firstcome/pkg/broker"
)

const superuser = "operator"

var principals = []string{"gateway", "issuer", "ledger", "upstream", "import", "stranger"}

// secureKafka lets nobody in without a name, and nobody do anything without a right.
type secureKafka struct{ addr string }

// startSecureKafka starts one of the kind that the test's other servers are of.
func startSecureKafka(t *testing.T, kind string) secureKafka {
	t.Helper()
	if kind == "containers" {
		return kafkaContainer(t)
	}
	return embeddedKafka(t)
}

func embeddedKafka(t *testing.T) secureKafka {
	t.Helper()
	options := []kfake.Opt{kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser(broker.Plain, superuser, secretOf(superuser))}
	for _, name := range principals {
		options = append(options, kfake.User(broker.Plain, name, secretOf(name)))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return secureKafka{cluster.ListenAddrs()[0]}
}

// startKafka makes the image's configuration writable first: the image rewrites it, and not every build of it could.
const startKafka = `for f in /etc/kafka/docker/*.yaml /etc/kafka/docker/*.properties /opt/kafka/config/*; do
  [ ! -f "$f" ] || [ -w "$f" ] || { cp "$f" "$f~" && chmod u+w "$f~" && mv -f "$f~" "$f"; }
done
exec /etc/kafka/docker/run`

func kafkaContainer(t *testing.T) secureKafka {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	jaas := "org.apache.kafka.common.security.plain.PlainLoginModule required"
	for _, name := range append(principals, superuser) {
		jaas += fmt.Sprintf(" user_%s=%q", name, secretOf(name))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c, err := testcontainers.Run(ctx, "apache/kafka:4.3.1",
		testcontainers.WithEnv(map[string]string{
			"KAFKA_NODE_ID": "1", "KAFKA_PROCESS_ROLES": "broker,controller", "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
			"KAFKA_LISTENERS":                                    "CLIENTS://:9092,BROKER://:29092,CONTROLLER://:9093",
			"KAFKA_ADVERTISED_LISTENERS":                         fmt.Sprintf("CLIENTS://127.0.0.1:%d,BROKER://localhost:29092", port),
			"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":               "CLIENTS:SASL_PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
			"KAFKA_INTER_BROKER_LISTENER_NAME":                   "BROKER",
			"KAFKA_CONTROLLER_LISTENER_NAMES":                    "CONTROLLER",
			"KAFKA_SASL_ENABLED_MECHANISMS":                      broker.Plain,
			"KAFKA_LISTENER_NAME_CLIENTS_PLAIN_SASL_JAAS_CONFIG": jaas + ";",
			"KAFKA_AUTHORIZER_CLASS_NAME":                        "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
			"KAFKA_SUPER_USERS":                                  "User:ANONYMOUS;User:" + superuser, // nameless is only the broker itself
			"KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND":               "false",
			"KAFKA_AUTO_CREATE_TOPICS_ENABLE":                    "false",
			"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":             "0",
			"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":             "1", "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
			"KAFKA_HEAP_OPTS": "-Xmx512m -Xms256m",
		}),
		testcontainers.WithExposedPorts("9092/tcp"),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.PortBindings = network.PortMap{network.MustParsePort("9092/tcp"): {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: fmt.Sprint(port)}}}
		}),
		testcontainers.WithEntrypoint("sh", "-c", startKafka), testcontainers.WithCmd(),
		testcontainers.WithWaitStrategyAndDeadline(2*time.Minute, wait.ForLog("Transitioning from RECOVERY to RUNNING")),
	)
	testcontainers.CleanupContainer(t, c)
	if err != nil {
		t.Fatal(err)
	}
	return secureKafka{fmt.Sprintf("127.0.0.1:%d", port)}
}
