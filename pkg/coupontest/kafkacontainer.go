package coupontest

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/firstcome/firstcome/pkg/broker"
)

// Kafka tells its clients the address under which they reach it, and that is known only when the container runs. So the
// container waits for a script with the address in it, and for the script's last line: it may see half a copy. The image
// rewrites its own configuration at each start, which fails where an image built from read-only files left it read-only;
// and not every build of it bears to be started twice, since the data folder is formatted then. A second start is made to
// be quick: with the image's archive of classes, if it fits, and as little compiling as there can be.
const (
	kafkaScript  = "/tmp/firstcome-start.sh"
	kafkaLastly  = "# complete"
	kafkaWaiting = "until grep -qsx '" + kafkaLastly + "' " + kafkaScript + "; do sleep 0.05; done; exec sh " + kafkaScript
	kafkaStarts  = `#!/bin/sh
for f in /etc/kafka/docker/*.yaml /etc/kafka/docker/*.properties /opt/kafka/config/*; do
  [ ! -f "$f" ] || [ -w "$f" ] || { cp "$f" "$f~" && chmod u+w "$f~" && mv -f "$f~" "$f"; }
done
started=/opt/kafka/config/.started
[ ! -e $started ] || exec java -Xshare:auto -XX:SharedArchiveFile=/opt/kafka/kafka.jsa -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
  $KAFKA_HEAP_OPTS -cp "$(printf '%%s:' /opt/kafka/libs/*.jar | sed 's/:$//')" \
  -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.yaml kafka.Kafka /opt/kafka/config/server.properties
touch $started
export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://%s,BROKER://%s:29092
exec /etc/kafka/docker/run
` + kafkaLastly + "\n"
)

// As soon as one of these is set, the image forgets its own configuration: so all of it.
var kafkaEnvironment = map[string]string{
	"KAFKA_NODE_ID":                                          "1",
	"KAFKA_PROCESS_ROLES":                                    "broker,controller",
	"KAFKA_CONTROLLER_QUORUM_VOTERS":                         "1@localhost:9093",
	"KAFKA_LISTENERS":                                        "PLAINTEXT://:9092,BROKER://:29092,CONTROLLER://:9093",
	"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":                   "PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
	"KAFKA_INTER_BROKER_LISTENER_NAME":                       "BROKER",
	"KAFKA_CONTROLLER_LISTENER_NAMES":                        "CONTROLLER",
	"KAFKA_AUTO_CREATE_TOPICS_ENABLE":                        "false",
	"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":                 "0",
	"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":                 "1",
	"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":                     "4",
	"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR":         "1",
	"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":                    "1",
	"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
	"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR":            "1",
	"KAFKA_HEAP_OPTS":                                        "-Xmx512m -Xms256m",
}

func kafkaContainer(ctx context.Context, s *set, advertise string) (*server, error) {
	if !s.alone {
		return kafkaNode(ctx, s, advertise, "localhost")
	}
	return kafkaNode(ctx, s, advertise, "localhost", testcontainers.WithEnv(map[string]string{
		// One that is killed and started again is let in only when its former self counts as dead: after 9 s otherwise.
		"KAFKA_BROKER_SESSION_TIMEOUT_MS": "3000", "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "500",
		// So that a test can take a right away, and a topic refuses writes.
		"KAFKA_AUTHORIZER_CLASS_NAME": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND": "true",
	}))
}

// kafkaNode starts a broker. Its clients reach it at advertise (empty: at the mapped port), the other brokers at peer.
func kafkaNode(ctx context.Context, s *set, advertise, peer string, more ...testcontainers.ContainerCustomizer) (*server, error) {
	labels, err := watched(s)
	if err != nil {
		return nil, err
	}
	hooks := testcontainers.ContainerLifecycleHooks{PostStarts: []testcontainers.ContainerHook{
		func(ctx context.Context, c testcontainers.Container) error {
			return copyKafkaScript(ctx, c, advertise, peer)
		},
	}}
	options := []testcontainers.ContainerCustomizer{
		labels,
		testcontainers.WithEnv(kafkaEnvironment),
		testcontainers.WithExposedPorts("9092/tcp"),
		testcontainers.WithEntrypoint("sh", "-c", kafkaWaiting),
		testcontainers.WithCmd(),
		testcontainers.WithLifecycleHooks(hooks),
		testcontainers.WithWaitStrategyAndDeadline(2*time.Minute, wait.ForLog("Transitioning from RECOVERY to RUNNING")),
	}
	c, err := testcontainers.Run(ctx, kafkaImage, append(options, more...)...)
	if err != nil {
		return nil, failed(ctx, c, err)
	}
	srv, err := containerServer(ctx, c, "9092/tcp", kafkaAnswers)
	if err != nil {
		return nil, failed(ctx, c, err)
	}
	if err := await(ctx, func(ctx context.Context) error { return kafkaAnswers(ctx, srv.hostport) }); err != nil {
		return nil, failed(ctx, c, err)
	}
	srv.version = func(ctx context.Context) (string, error) { return kafkaVersion(ctx, c) }
	return srv, nil
}

func copyKafkaScript(ctx context.Context, c testcontainers.Container, advertise, peer string) error {
	if advertise == "" {
		var err error
		if advertise, err = c.PortEndpoint(ctx, "9092/tcp", ""); err != nil {
			return err
		}
	}
	return c.CopyToContainer(ctx, fmt.Appendf(nil, kafkaStarts, advertise, peer), kafkaScript, 0o755)
}

// kafkaAnswers asks for metadata at the mapped port, which needs no other address to be reachable.
func kafkaAnswers(ctx context.Context, hostport string) error {
	client, err := broker.New(broker.Config{Brokers: []string{hostport}})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := client.Dialer().DialContext(ctx, "tcp", hostport)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Brokers()
	return err
}

var kafkaVersionLine = regexp.MustCompile(`Kafka version: (\S+)`)

// kafkaVersion reads the log: no request of Kafka's protocol answers with the version.
func kafkaVersion(ctx context.Context, c testcontainers.Container) (string, error) {
	log, err := logs(ctx, c)
	if err != nil {
		return "", err
	}
	if found := kafkaVersionLine.FindStringSubmatch(log); found != nil {
		return "Apache Kafka " + found[1], nil
	}
	return kafkaImage, nil
}
