package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

const (
	// clientID is what brokers see in their request logs and quotas.
	clientID = "firstcome"
	// metadataTTL bounds how long a moved leader or a new topic goes unnoticed.
	metadataTTL = 2 * time.Second
	// requestTimeout bounds each request; a broker is given half of it to
	// collect acknowledgements.
	requestTimeout = 5 * time.Second
)

// ErrNoTopic means that the brokers know no topic of that name (perhaps: not
// yet, a new one is seen within two seconds).
var ErrNoTopic = errors.New("no such topic")

// Client reaches a Kafka cluster. It is safe for concurrent use. Its calls try
// once; Retriable tells whether trying again can help.
type Client struct {
	cfg       Config
	tls       *tls.Config
	sasl      sasl.Mechanism
	transport *kafka.Transport
	kafka     *kafka.Client
	cancel    context.CancelFunc
}

// New checks cfg and prepares a client. It connects to nobody: a Kafka that is
// down shows in the calls.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	secured, problems := cfg.tlsConfig()
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{cfg: cfg, tls: secured, sasl: cfg.mechanism(), cancel: cancel}
	c.transport = &kafka.Transport{
		Dial:        func(ctx context.Context, _, addr string) (net.Conn, error) { return c.Dial(ctx, addr) },
		DialTimeout: dialTimeout,
		MetadataTTL: metadataTTL,
		ClientID:    clientID,
		Context:     ctx,
	}
	c.kafka = &kafka.Client{
		Addr:      kafka.TCP(cfg.Brokers...),
		Timeout:   requestTimeout,
		Transport: c.transport,
	}
	return c, nil
}

// Close ends the idle connections; those in use end with their requests.
func (c *Client) Close() {
	c.transport.CloseIdleConnections()
	c.cancel()
}

// Config is the configuration that the client was made from.
func (c *Client) Config() Config { return c.cfg }

// Kafka is the kafka-go client underneath, for calls that have no method here.
func (c *Client) Kafka() *kafka.Client { return c.kafka }

// Dialer is what kafka-go's consumer groups connect with.
func (c *Client) Dialer() *kafka.Dialer {
	return &kafka.Dialer{
		ClientID: clientID,
		Timeout:  dialTimeout,
		DialFunc: func(ctx context.Context, _, addr string) (net.Conn, error) { return c.Dial(ctx, addr) },
	}
}

// Topic describes a topic as the brokers have it.
type Topic struct {
	Name       string
	Partitions int
	// LogAppendTime is true where the broker stamps the records.
	LogAppendTime bool
}

// Topic asks for the number of partitions and the kind of timestamps; name is
// the full name. ErrNoTopic where there is none.
func (c *Client) Topic(ctx context.Context, name string) (Topic, error) {
	partitions, err := c.Partitions(ctx, name)
	if err != nil {
		return Topic{}, err
	}
	res, err := c.kafka.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{{
			ResourceType: kafka.ResourceTypeTopic,
			ResourceName: name,
			ConfigNames:  []string{"message.timestamp.type"},
		}},
	})
	if err != nil {
		return Topic{}, fmt.Errorf("reading the settings of topic %s: %w", name, err)
	}
	topic := Topic{Name: name, Partitions: partitions}
	for _, r := range res.Resources {
		if r.Error != nil {
			return Topic{}, fmt.Errorf("reading the settings of topic %s: %w", name, r.Error)
		}
		for _, entry := range r.ConfigEntries {
			if entry.ConfigName == "message.timestamp.type" {
				topic.LogAppendTime = entry.ConfigValue == "LogAppendTime"
			}
		}
	}
	return topic, nil
}

// Partitions is the number of partitions of a topic. ErrNoTopic where there is none.
func (c *Client) Partitions(ctx context.Context, topic string) (int, error) {
	partitions, err := c.metadata(ctx, topic)
	return len(partitions), err
}

// Leader is the address of the broker that leads a partition.
func (c *Client) Leader(ctx context.Context, topic string, partition int32) (string, error) {
	partitions, err := c.metadata(ctx, topic)
	if err != nil {
		return "", err
	}
	for _, p := range partitions {
		if p.ID == int(partition) {
			if p.Leader.Host == "" {
				return "", fmt.Errorf("partition %d of topic %s: %w", partition, topic, kafka.LeaderNotAvailable)
			}
			return address(p.Leader), nil
		}
	}
	return "", fmt.Errorf("partition %d of topic %s: %w", partition, topic, kafka.UnknownTopicOrPartition)
}

func (c *Client) metadata(ctx context.Context, topic string) ([]kafka.Partition, error) {
	res, err := c.kafka.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, fmt.Errorf("asking for topic %s: %w", topic, err)
	}
	for _, t := range res.Topics {
		if t.Name != topic {
			continue
		}
		if errors.Is(t.Error, kafka.UnknownTopicOrPartition) {
			return nil, fmt.Errorf("topic %s: %w", topic, ErrNoTopic)
		}
		if t.Error != nil {
			return nil, fmt.Errorf("topic %s: %w", topic, t.Error)
		}
		if len(t.Partitions) > 0 {
			return t.Partitions, nil
		}
	}
	return nil, fmt.Errorf("topic %s: %w", topic, ErrNoTopic)
}

func address(b kafka.Broker) string { return net.JoinHostPort(b.Host, strconv.Itoa(b.Port)) }
