package coupontest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
)

// StartCluster is StartAlone with a Kafka of several brokers, which are killed and started one by one: by their ids, which
// count from 1 and are those of Kafka's metadata. In containers only: no fake replicates. A topic has as many replicas as
// its maker asks for; CreateTopics asks for one.
func StartCluster(t testing.TB, brokers int, needs ...Need) *Servers {
	t.Helper()
	return startAlone(t, brokers, needs)
}

// KillBroker ends one broker of StartCluster at once, as kill -9 does. It keeps its data.
func (s *Servers) KillBroker(t testing.TB, id int) {
	t.Helper()
	s.ofCluster(t, id).die(t, fmt.Sprintf("broker %d", id))
}

// RestartBroker starts a broker that was killed, at the same address, and returns when it answers.
func (s *Servers) RestartBroker(t testing.TB, id int) {
	t.Helper()
	s.ofCluster(t, id).live(t, fmt.Sprintf("broker %d", id))
}

func (s *Servers) ofCluster(t testing.TB, id int) *server {
	t.Helper()
	brokers := s.own(t, Kafka).brokers
	if id < 1 || id > len(brokers) {
		t.Fatalf("coupontest: there is no broker %d among %d: ask for a cluster by StartCluster", id, len(brokers))
	}
	return brokers[id-1]
}

// startCluster starts the brokers side by side, since none is up before most of them are.
func startCluster(ctx context.Context, s *set, n int) (*server, error) {
	if s.kind.name != containersKind.name {
		return nil, fmt.Errorf("%d brokers can only be had in containers (%s=%s)", n, EnvServers, containersKind.name)
	}
	label, err := engine()
	if err != nil {
		return nil, err
	}
	if err := s.reaper.watch(reapContainers, label); err != nil {
		return nil, err
	}
	between, err := network.New(ctx, network.WithLabels(map[string]string{containerLabel: label}))
	if err != nil {
		return nil, err
	}
	cluster := &server{brokers: make([]*server, n)}
	cluster.stop = func(ctx context.Context) error {
		var problems []error
		for _, b := range cluster.brokers {
			if b != nil {
				b.proxy.close()
				problems = append(problems, b.stop(ctx))
			}
		}
		return errors.Join(append(problems, between.Remove(ctx))...)
	}
	cluster.version = func(ctx context.Context) (string, error) { return cluster.brokers[0].version(ctx) }
	problems := make([]error, n)
	var starting sync.WaitGroup
	for i := range n {
		starting.Go(func() { cluster.brokers[i], problems[i] = clusterBroker(ctx, s, i+1, n, between) })
	}
	starting.Wait()
	if err := errors.Join(problems...); err != nil {
		return nil, errors.Join(err, cluster.stop(context.WithoutCancel(ctx)))
	}
	var addresses []string
	for _, b := range cluster.brokers {
		addresses = append(addresses, b.address())
	}
	cluster.hostport = strings.Join(addresses, ",")
	return cluster, nil
}

func clusterBroker(ctx context.Context, s *set, id, of int, between *testcontainers.DockerNetwork) (*server, error) {
	name := func(id int) string { return fmt.Sprintf("broker-%d", id) }
	var voters []string
	for i := range of {
		voters = append(voters, fmt.Sprintf("%d@%s:9093", i+1, name(i+1)))
	}
	replicas := fmt.Sprint(min(of, 3))
	environment := testcontainers.WithEnv(map[string]string{
		"CLUSTER_ID":                                             "Zmlyc3Rjb21lLXRlc3RzMQ", // the same for all
		"KAFKA_NODE_ID":                                          fmt.Sprint(id),
		"KAFKA_CONTROLLER_QUORUM_VOTERS":                         strings.Join(voters, ","),
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":                 replicas,
		"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR":         replicas,
		"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": replicas,
		"KAFKA_HEAP_OPTS":                                        "-Xmx384m -Xms128m",
	})
	return behindProxy(func(advertise string) (*server, error) {
		return kafkaNode(ctx, s, advertise, name(id), environment, network.WithNetwork([]string{name(id)}, between))
	})
}
