package embedded

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kfake"
)

// KafkaConfig says where the embedded Kafka listens and keeps its data.
type KafkaConfig struct {
	// Dir keeps the data; one process at a time. Empty: in memory.
	Dir string
	// Addr is the host:port to listen on and to be told to clients, so the host must be one that they can reach.
	// Default 127.0.0.1:0, a free port.
	Addr string
	// Sync writes every batch to the disk before it is acknowledged. Without it records survive the death of the
	// process, as with a real Kafka's defaults, but not that of the machine.
	Sync bool
}

// Kafka is a running kfake with one broker.
type Kafka struct {
	cluster *kfake.Cluster
	brokers []string
	lock    *folderLock
}

// StartKafka starts Kafka; it answers when this returns.
func StartKafka(cfg KafkaConfig) (*Kafka, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	k := &Kafka{}
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, cfg.Addr) }),
	}
	if cfg.Dir != "" {
		lock, err := lockFolder(cfg.Dir)
		if err != nil {
			return nil, fmt.Errorf("embedded kafka: %w", err)
		}
		k.lock = lock
		options = append(options, kfake.DataDir(filepath.Join(cfg.Dir, "data")))
	}
	if cfg.Sync {
		options = append(options, kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		k.lock.release()
		return nil, fmt.Errorf("embedded kafka: %w", err)
	}
	k.cluster, k.brokers = cluster, cluster.ListenAddrs()
	return k, nil
}

// Brokers are the addresses to connect to.
func (k *Kafka) Brokers() []string { return k.brokers }

// Cluster is the fake itself, to make it misbehave in tests.
func (k *Kafka) Cluster() *kfake.Cluster { return k.cluster }

// Close stops Kafka and leaves the data in its Dir.
func (k *Kafka) Close() {
	k.cluster.Close()
	k.lock.release()
}

func mkdir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder %s: %w", dir, err)
	}
	return nil
}
