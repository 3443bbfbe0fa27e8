//go:build linux || darwin

package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

const topic = "facts"

func clientOf(addr string) *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(addr), Timeout: 5 * time.Second, Transport: &kafka.Transport{}}
}

func createTopic(ctx context.Context, addr string) error {
	res, err := clientOf(addr).CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: topic, NumPartitions: 1, ReplicationFactor: 1,
		ConfigEntries: []kafka.ConfigEntry{{ConfigName: "message.timestamp.type", ConfigValue: "LogAppendTime"}},
	}}})
	if err != nil {
		return err
	}
	return res.Errors[topic]
}

var longAgo = time.UnixMilli(1000)

// produce writes so many records, one request each.
func produce(ctx context.Context, addr string, records int) error {
	if err := createTopic(ctx, addr); err != nil {
		return err
	}
	for i := range records {
		res, err := clientOf(addr).Produce(ctx, &kafka.ProduceRequest{
			Topic: topic, RequiredAcks: kafka.RequireAll,
			Records: kafka.NewRecordReader(kafka.Record{Time: longAgo, Value: kafka.NewBytes(fmt.Append(nil, i))}),
		})
		if err := errors.Join(err, res.Error); err != nil {
			return err
		}
		if res.BaseOffset != int64(i) {
			return fmt.Errorf("record %d has offset %d", i, res.BaseOffset)
		}
	}
	return nil
}

func expectRecords(t *testing.T, addr string, want int64) {
	t.Helper()
	res, err := clientOf(addr).ListOffsets(t.Context(), &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{topic: {kafka.LastOffsetOf(0)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Topics[topic]; len(got) != 1 || got[0].Error != nil || got[0].LastOffset != want {
		t.Fatalf("partitions %+v, want one that ends at %d", got, want)
	}
}

func TestKafka_Restart(t *testing.T) {
	dir := t.TempDir()
	first, err := StartKafka(KafkaConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	addr := first.Brokers()[0]
	if err := produce(t.Context(), addr, 10); err != nil {
		t.Fatal(err)
	}
	committed, err := clientOf(addr).OffsetCommit(t.Context(), &kafka.OffsetCommitRequest{
		GroupID: "g", GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{topic: {{Offset: 7, Metadata: "highest 6"}}},
	})
	if err != nil || committed.Topics[topic][0].Error != nil {
		t.Fatal(err, committed)
	}
	first.Close()

	second, err := StartKafka(KafkaConfig{Dir: dir, Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if got := second.Brokers()[0]; got != addr {
		t.Fatalf("listens on %s, not on %s again", got, addr)
	}
	expectRecords(t, addr, 10)
	offsets, err := clientOf(addr).OffsetFetch(t.Context(), &kafka.OffsetFetchRequest{GroupID: "g", Topics: map[string][]int{topic: {0}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := offsets.Topics[topic][0]; got.CommittedOffset != 7 || got.Metadata != "highest 6" {
		t.Fatalf("the group is at %+v", got)
	}
}

func TestKafka_SurvivesKill(t *testing.T) {
	dir := t.TempDir()
	cmd, addr := child(t, "kafka", dir)
	if _, err := StartKafka(KafkaConfig{Dir: dir}); err == nil || !strings.Contains(err.Error(), fmt.Sprint("in use by process ", cmd.Process.Pid)) {
		t.Fatalf("a second process on the same folder: %v", err)
	}
	kill9(cmd)
	k, err := StartKafka(KafkaConfig{Dir: dir, Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	expectRecords(t, addr, 100)
}

// The package's documentation names what kfake can't do. Where this fails because it now can, documentation and
// --allow-create-time of local mode can go.
func TestKafka_Limits(t *testing.T) {
	k, err := StartKafka(KafkaConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	addr := k.Brokers()[0]
	if err := createTopic(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	described, err := clientOf(addr).DescribeConfigs(t.Context(), &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"message.timestamp.type"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := described.Resources[0].ConfigEntries[0].ConfigValue; got != "LogAppendTime" {
		t.Errorf("message.timestamp.type is told as %q", got)
	}
	res, err := clientOf(addr).Produce(t.Context(), &kafka.ProduceRequest{
		Topic: topic, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(kafka.Record{Time: longAgo, Value: kafka.NewBytes([]byte("x"))}),
	})
	if err := errors.Join(err, res.Error); err != nil {
		t.Fatal(err)
	}
	if !res.LogAppendTime.IsZero() {
		t.Errorf("it stamps records now: %v", res.LogAppendTime)
	}
	fetched, err := clientOf(addr).Fetch(t.Context(), &kafka.FetchRequest{Topic: topic, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	record, err := fetched.Records.ReadRecord()
	if err != nil {
		t.Fatal(err)
	}
	if !record.Time.Equal(longAgo) {
		t.Errorf("it stamps records now: %v", record.Time)
	}
}

func TestKafka_Advertised(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	k, err := StartKafka(KafkaConfig{Advertised: ln.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	conn, err := kafka.DialContext(t.Context(), "tcp", k.Brokers()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	brokers, err := conn.Brokers()
	if err != nil {
		t.Fatal(err)
	}
	if got := net.JoinHostPort(brokers[0].Host, fmt.Sprint(brokers[0].Port)); got != ln.Addr().String() {
		t.Fatalf("clients are sent to %s", got)
	}
}
