// Package broker is how to reach Kafka: connections (TLS, SASL), metadata and
// offsets. Package producer and package consumer stand on it; there is no
// other way to Kafka in this project.
package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
)

// The SASL mechanisms that are understood.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// Config says where Kafka is and how to be let in. Only Brokers is needed.
// The env tags name the variables of the services; this package does not read
// the environment itself.
type Config struct {
	// Brokers are the addresses (host:port) to begin with; the others are
	// learned from them.
	Brokers []string `env:"KAFKA_BROKERS,required" envSeparator:","`

	// TLS encrypts the connections. The brokers' certificates are checked
	// against TLSCA, or against the system's roots where it is empty.
	TLS bool `env:"KAFKA_TLS"`
	// TLSCA is a PEM file of certificates to trust instead of the system's.
	TLSCA string `env:"KAFKA_TLS_CA"`
	// TLSCert and TLSKey are PEM files of the client's certificate, both or none.
	TLSCert string `env:"KAFKA_TLS_CERT"`
	TLSKey  string `env:"KAFKA_TLS_KEY"`

	// SASLMechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty means none.
	// PLAIN without TLS sends the password readable over the network.
	SASLMechanism string `env:"KAFKA_SASL_MECHANISM"`
	SASLUsername  string `env:"KAFKA_SASL_USERNAME"`
	SASLPassword  string `env:"KAFKA_SASL_PASSWORD"`

	// TopicPrefix is put before the names of topics and groups, to keep
	// environments and tests apart on one cluster.
	TopicPrefix string `env:"KAFKA_TOPIC_PREFIX"`

	// Dial, if set, makes the TCP connections, for networks with a way of their
	// own and for tests; TLS and SASL are spoken over what it returns.
	Dial func(ctx context.Context, addr string) (net.Conn, error) `env:"-"`
}

// Topic is the full name of a topic: the prefix in front.
func (c Config) Topic(name string) string { return c.TopicPrefix + name }

// Group is the full name of a consumer group: the prefix in front.
func (c Config) Group(name string) string { return c.TopicPrefix + name }

// Validate reports everything that is wrong with c in one error, each problem
// on a line of its own. Files that c names are read.
func (c Config) Validate() error { return errors.Join(c.Problems()...) }

// Problems is Validate with the problems one by one.
func (c Config) Problems() []error {
	problems := c.brokerProblems()
	if !prefixPattern.MatchString(c.TopicPrefix) {
		problems = append(problems, fmt.Errorf("KAFKA_TOPIC_PREFIX: %q has characters that topic names may not have, or more than 100", c.TopicPrefix))
	}
	problems = append(problems, c.saslProblems()...)
	if _, errs := c.tlsConfig(); len(errs) > 0 {
		problems = append(problems, errs...)
	}
	return problems
}

var prefixPattern = regexp.MustCompile(`^[a-zA-Z0-9._-]{0,100}$`)

func (c Config) brokerProblems() (problems []error) {
	if len(c.Brokers) == 0 {
		return []error{errors.New("KAFKA_BROKERS: at least one address is needed")}
	}
	for _, address := range c.Brokers {
		host, port, err := net.SplitHostPort(address)
		number, portErr := strconv.Atoi(port)
		if err != nil || portErr != nil || host == "" || number < 1 || number > 65535 {
			problems = append(problems, fmt.Errorf("KAFKA_BROKERS: %q is not host:port", address))
		}
	}
	return problems
}

func (c Config) saslProblems() (problems []error) {
	switch c.SASLMechanism {
	case "":
		if c.SASLUsername != "" || c.SASLPassword != "" {
			problems = append(problems, errors.New("KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD are of no use without KAFKA_SASL_MECHANISM"))
		}
		return problems
	case Plain, ScramSHA256, ScramSHA512:
	default:
		problems = append(problems, fmt.Errorf("KAFKA_SASL_MECHANISM: %q is not one of %s, %s, %s", c.SASLMechanism, Plain, ScramSHA256, ScramSHA512))
	}
	if c.SASLUsername == "" {
		problems = append(problems, errors.New("KAFKA_SASL_USERNAME: missing"))
	}
	if c.SASLPassword == "" {
		problems = append(problems, errors.New("KAFKA_SASL_PASSWORD: missing"))
	}
	return problems
}

// tlsConfig is nil where TLS is off.
func (c Config) tlsConfig() (*tls.Config, []error) {
	if !c.TLS {
		if c.TLSCA != "" || c.TLSCert != "" || c.TLSKey != "" {
			return nil, []error{errors.New("KAFKA_TLS_CA, KAFKA_TLS_CERT and KAFKA_TLS_KEY are of no use without KAFKA_TLS=true")}
		}
		return nil, nil
	}
	var problems []error
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLSCA != "" {
		pem, err := os.ReadFile(c.TLSCA)
		if err != nil {
			problems = append(problems, fmt.Errorf("KAFKA_TLS_CA: %w", err))
		} else {
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM(pem) {
				problems = append(problems, fmt.Errorf("KAFKA_TLS_CA: %s holds no PEM certificate", c.TLSCA))
			}
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		problems = append(problems, errors.New("KAFKA_TLS_CERT and KAFKA_TLS_KEY: both or none"))
	} else if c.TLSCert != "" {
		certificate, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			problems = append(problems, fmt.Errorf("KAFKA_TLS_CERT: %w", err))
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, problems
}

// mechanism is nil where SASL is off.
func (c Config) mechanism() sasl.Mechanism {
	switch c.SASLMechanism {
	case Plain:
		return plain.Mechanism{Username: c.SASLUsername, Password: c.SASLPassword}
	case ScramSHA256, ScramSHA512:
		return newScram(c.SASLMechanism, c.SASLUsername, c.SASLPassword)
	}
	return nil
}
