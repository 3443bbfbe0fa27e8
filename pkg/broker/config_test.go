package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

func TestConfig_Validate(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key := certificate(t)
	ca, keyFile, junk := write("ca.pem", cert), write("key.pem", key), write("junk.pem", "junk")
	brokers := []string{"kafka-1:9092", "[::1]:9093"}
	tests := []struct {
		name string
		cfg  Config
		want []string // one for each problem, in order
	}{
		{"plain", Config{Brokers: brokers}, nil},
		{"prefix", Config{Brokers: brokers, TopicPrefix: "stage-2."}, nil},
		{"TLS", Config{Brokers: brokers, TLS: true}, nil},
		{"TLS with files", Config{Brokers: brokers, TLS: true, TLSCA: ca, TLSCert: ca, TLSKey: keyFile}, nil},
		{"SCRAM", Config{Brokers: brokers, SASLMechanism: ScramSHA512, SASLUsername: "u", SASLPassword: "p"}, nil},
		{"nothing", Config{}, []string{"KAFKA_BROKERS: at least one"}},
		{"no port", Config{Brokers: []string{"kafka", ":9092", "kafka:0", "kafka:http"}},
			[]string{`"kafka" is not host:port`, `":9092"`, `"kafka:0"`, `"kafka:http"`}},
		{"bad prefix", Config{Brokers: brokers, TopicPrefix: "a b"}, []string{"KAFKA_TOPIC_PREFIX"}},
		{"files without TLS", Config{Brokers: brokers, TLSCA: ca}, []string{"without KAFKA_TLS=true"}},
		{"missing file", Config{Brokers: brokers, TLS: true, TLSCA: dir + "/none"}, []string{"KAFKA_TLS_CA: open"}},
		{"no certificate", Config{Brokers: brokers, TLS: true, TLSCA: junk}, []string{"holds no PEM certificate"}},
		{"certificate without key", Config{Brokers: brokers, TLS: true, TLSCert: ca}, []string{"both or none"}},
		{"bad certificate", Config{Brokers: brokers, TLS: true, TLSCert: junk, TLSKey: junk}, []string{"KAFKA_TLS_CERT"}},
		{"user without mechanism", Config{Brokers: brokers, SASLUsername: "u"}, []string{"without KAFKA_SASL_MECHANISM"}},
		{"mechanism alone", Config{Brokers: brokers, SASLMechanism: Plain}, []string{"KAFKA_SASL_USERNAME: missing", "KAFKA_SASL_PASSWORD: missing"}},
		{"everything at once", Config{TopicPrefix: "/", SASLMechanism: "GSSAPI", TLS: true, TLSCA: junk, TLSKey: junk},
			[]string{"KAFKA_BROKERS", "KAFKA_TOPIC_PREFIX", `"GSSAPI" is not one of`, "USERNAME", "PASSWORD", "KAFKA_TLS_CA", "both or none"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problems := tt.cfg.Problems()
			if len(problems) != len(tt.want) {
				t.Fatalf("%d problems, want %d: %v", len(problems), len(tt.want), problems)
			}
			for i, p := range problems {
				if !strings.Contains(p.Error(), tt.want[i]) {
					t.Errorf("problem %d: %v, want %s", i, p, tt.want[i])
				}
			}
			client, err := New(tt.cfg)
			if (err == nil) != (len(tt.want) == 0) || (tt.cfg.Validate() == nil) != (err == nil) {
				t.Errorf("New: %v, Validate: %v", err, tt.cfg.Validate())
			}
			if client != nil {
				client.Close()
			}
		})
	}
}

func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))
}

func TestConfig_prefixIsInFront(t *testing.T) {
	cfg := Config{TopicPrefix: "stage."}
	if cfg.Topic("coupon.requests") != "stage.coupon.requests" || cfg.Group("firstcome.issuer") != "stage.firstcome.issuer" {
		t.Error(cfg.Topic("coupon.requests"), cfg.Group("firstcome.issuer"))
	}
}

func TestRetriable(t *testing.T) {
	yes := []error{
		kafka.LeaderNotAvailable, kafka.NotLeaderForPartition, kafka.UnknownTopicOrPartition, kafka.RequestTimedOut,
		kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup, kafka.BrokerNotAvailable,
		kafka.NotEnoughReplicas, kafka.Unknown, ErrNoTopic, protocol.NewErrNoLeader("t", 1), protocol.NewErrNoTopic("t"),
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded, context.DeadlineExceeded,
		&net.OpError{Op: "dial", Err: errors.New("refused")}, &net.DNSError{},
	}
	no := []error{
		nil, errors.New("any"), context.Canceled, kafka.TopicAuthorizationFailed, kafka.SASLAuthenticationFailed,
		kafka.OffsetOutOfRange, kafka.MessageSizeTooLarge, kafka.IllegalGeneration, kafka.UnknownMemberId, kafka.InvalidTopic,
		&net.OpError{Op: "dial", Err: context.Canceled}, &net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")},
	}
	for _, err := range yes {
		if !Retriable(fmt.Errorf("wrapped: %w", err)) {
			t.Errorf("not retriable: %v", err)
		}
	}
	for _, err := range no {
		if Retriable(err) {
			t.Errorf("retriable: %v", err)
		}
	}
}

func TestNotSent(t *testing.T) {
	client, err := New(Config{Brokers: []string{"nobody:9092"}, Dial: func(context.Context, string) (net.Conn, error) {
		return nil, io.EOF
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Dial(context.Background(), "nobody:9092"); !NotSent(err) || !Retriable(err) {
		t.Errorf("a connection that was not made: %v", err)
	}
	if NotSent(io.EOF) || NotSent(context.DeadlineExceeded) || !NotSent(protocol.NewErrNoLeader("t", 0)) {
		t.Error("an answer that is missing is not a request that never left")
	}
}

// A broker that accepts and says nothing must not hold anybody up.
func TestClient_Dial_silentBroker(t *testing.T) {
	silent := func(context.Context, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { theirs.Close() })
		return ours, nil
	}
	for _, cfg := range []Config{
		{TLS: true},
		{SASLMechanism: Plain, SASLUsername: "u", SASLPassword: "p"},
	} {
		cfg.Brokers, cfg.Dial = []string{"silent:9092"}, silent
		client, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		if _, err := client.Dial(ctx, "silent:9092"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("TLS %v, SASL %q: %v", cfg.TLS, cfg.SASLMechanism, err)
		}
		cancel()
		client.Close()
	}
}
