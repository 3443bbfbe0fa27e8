package embedded

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kfake"
)

// KafkaVersion names the fake and its version, as pinned in go.mod (which test binaries can't read at run time).
const KafkaVersion = "kfake v0.0.0-20260918054303-01f206a7e32c"

// KafkaConfig says where the embedded Kafka listens and keeps its data.
type KafkaConfig struct {
	// Dir keeps the data; one process at a time. Empty: in memory.
	Dir string
	// Addr is the host:port to listen on. Default 127.0.0.1:0, a free port.
	Addr string
	// Advertised is the host:port that clients are told to connect to. Default Addr, whose host they must be able to reach.
	Advertised string
	// Sync writes every batch to the disk before it is acknowledged. Without it records survive the death of the
	// process, as with a real Kafka's defaults, but not that of the machine.
	Sync bool
}

// Kafka is a running kfake with one broker.
type Kafka struct {
	cluster *kfake.Cluster
	addr    string
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
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return k.listen(network, cfg) }),
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
	k.cluster = cluster
	return k, nil
}

func (k *Kafka) listen(network string, cfg KafkaConfig) (net.Listener, error) {
	ln, err := net.Listen(network, cfg.Addr)
	if err != nil {
		return nil, err
	}
	k.addr = ln.Addr().String()
	if cfg.Advertised == "" {
		return ln, nil
	}
	return advertised{ln, cfg.Advertised}, nil
}

// advertised is a listener that claims another address, which is the one that kfake tells its clients.
type advertised struct {
	net.Listener
	addr string
}

func (a advertised) Addr() net.Addr  { return a }
func (a advertised) Network() string { return "tcp" }
func (a advertised) String() string  { return a.addr }

// Brokers are the addresses that it listens on.
func (k *Kafka) Brokers() []string { return []string{k.addr} }

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
