package kafkatest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
)

// authority signs certificates for 127.0.0.1, and writes itself into a file.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		Subject:  pkix.Name{CommonName: "authority"}, // Java reads none without
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// sign makes a certificate, and writes it and its key into files.
func (a authority) sign(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "broker"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key) // Java reads no other
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func (a authority) server(t *testing.T, clientCerts tls.ClientAuthType) kfake.Opt {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.sign(t))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: clientCerts})
}

// roundTrip publishes and reads back, and joins a group: each way of
// connecting once.
func roundTrip(t *testing.T, cfg broker.Config) error {
	t.Helper()
	client, err := broker.New(cfg)
	if err != nil {
		return err
	}
	t.Cleanup(client.Close)
	ctx, cancel := context.WithTimeout(soon(t), 20*time.Second)
	defer cancel()
	if err := client.CreateTopics(ctx, []broker.TopicSpec{{Name: "topic", Partitions: 1, Replication: 1}}); err != nil {
		return err
	}
	p := place{Client: client, topic: "topic"}
	if _, err := p.producer(t).PublishTo(ctx, 0, numbered("row", 0)); err != nil {
		return err
	}
	if _, err := p.fetcher(t, 0, consumer.FetchConfig{}).Fetch(ctx, 0); err != nil {
		return err
	}
	if _, err := client.Ends(ctx, "topic"); err != nil {
		return err
	}
	owned := errors.New("owned")
	joined, leave := context.WithCancelCause(ctx)
	consumer.RunGroup(joined, p.groupConfig(), func(context.Context, *consumer.Assignment) error {
		leave(owned)
		return nil
	})
	if context.Cause(joined) != owned {
		return errors.New("the group could not be joined")
	}
	return nil
}

func TestBroker_security(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	cert, key := ca.sign(t)
	sasl := func(mechanism, password string) broker.Config {
		return broker.Config{SASLMechanism: mechanism, SASLUsername: "firstcome", SASLPassword: password}
	}
	tests := []struct {
		name    string
		options []kfake.Opt
		cfg     broker.Config
		want    string // in the error; empty: none
	}{
		{"TLS", []kfake.Opt{ca.server(t, tls.NoClientCert)}, broker.Config{TLS: true, TLSCA: ca.file}, ""},
		{"TLS of a stranger", []kfake.Opt{ca.server(t, tls.NoClientCert)}, broker.Config{TLS: true, TLSCA: other.file}, "certificate"},
		{"TLS with the system's roots", []kfake.Opt{ca.server(t, tls.NoClientCert)}, broker.Config{TLS: true}, "certificate"},
		{"client certificate", []kfake.Opt{ca.server(t, tls.RequireAndVerifyClientCert)}, broker.Config{TLS: true, TLSCA: ca.file, TLSCert: cert, TLSKey: key}, ""},
		{"PLAIN", saslServer(broker.Plain), sasl(broker.Plain, "secret"), ""},
		{"SCRAM-SHA-256", saslServer(broker.ScramSHA256), sasl(broker.ScramSHA256, "secret"), ""},
		{"SCRAM-SHA-512", saslServer(broker.ScramSHA512), sasl(broker.ScramSHA512, "secret"), ""},
		{"wrong password, PLAIN", saslServer(broker.Plain), sasl(broker.Plain, "guess"), "authenticating firstcome by PLAIN"},
		{"wrong password, SCRAM", saslServer(broker.ScramSHA512), sasl(broker.ScramSHA512, "guess"), "authenticating firstcome by SCRAM-SHA-512"},
		{"mechanism that is not offered", saslServer(broker.Plain), sasl(broker.ScramSHA256, "secret"), "authenticating firstcome by SCRAM-SHA-256"},
		{"no password", saslServer(broker.Plain), broker.Config{}, "EOF"},
		{"SCRAM over TLS", append(saslServer(broker.ScramSHA256), ca.server(t, tls.NoClientCert)), func() broker.Config {
			cfg := sasl(broker.ScramSHA256, "secret")
			cfg.TLS, cfg.TLSCA = true, ca.file
			return cfg
		}(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cluster, err := kfake.NewCluster(append(tt.options, kfake.NumBrokers(1))...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			tt.cfg.Brokers = cluster.ListenAddrs()
			err = roundTrip(t, tt.cfg)
			if (tt.want != "") != (err != nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func saslServer(mechanism string) []kfake.Opt {
	return []kfake.Opt{kfake.EnableSASL(), kfake.Superuser(mechanism, "firstcome", "secret")}
}
