package broker_test

import (
	"fmt"

	"github.com/firstcome/firstcome/pkg/broker"
)

// secured reaches a Kafka over TLS, with a password by SCRAM.
func secured(password string) (*broker.Client, error) {
	return broker.New(broker.Config{
		Brokers:       []string{"kafka-1.example:9093", "kafka-2.example:9093"},
		TLS:           true,
		TLSCA:         "/etc/checkout/kafka-ca.pem", // empty: the system's certificates
		SASLMechanism: broker.ScramSHA512,
		SASLUsername:  "checkout",
		SASLPassword:  password,
	})
}

// Everything that is wrong is said at once; nobody is asked yet.
func ExampleNew() {
	_, err := secured("")
	fmt.Println(err)
	// Output:
	// KAFKA_SASL_PASSWORD: missing
	// KAFKA_TLS_CA: open /etc/checkout/kafka-ca.pem: no such file or directory
}
