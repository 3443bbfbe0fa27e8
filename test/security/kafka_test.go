package security_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/firstcome/firstcome/pkg/broker"
)

const superuser = "operator"

var principals = []string{"gateway", "issuer", "ledger", "upstream", "stranger"}

// secureKafka lets nobody in without a name, and nobody do anything without a right.
type secureKafka struct{ addr string }

func startSecureKafka(t *testing.T) secureKafka {
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
