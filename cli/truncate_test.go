package cli

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
)

// truncate is what retention does: the requests log begins at offset from then on. kafka-go can't ask for it, so these are
// the bytes of DeleteRecords v0 (key 21).
func (s *still) truncate(offset int64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	client := s.servers.Kafka(s.t)
	topic := client.Config().Topic(event.TopicRequests)
	leader, err := client.Leader(ctx, topic, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := client.Dial(ctx, leader)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	request := deleteRecords(topic, offset)
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)); err != nil {
		s.t.Fatal(err)
	}
	size := make([]byte, 4)
	if _, err := io.ReadFull(conn, size); err != nil {
		s.t.Fatal(err)
	}
	answer := make([]byte, binary.BigEndian.Uint32(size))
	if _, err := io.ReadFull(conn, answer); err != nil || binary.BigEndian.Uint16(answer[len(answer)-2:]) != 0 {
		s.t.Fatalf("DeleteRecords answered %x, %v", answer, err)
	}
	if start, _, err := client.Bounds(ctx, topic, 0); err != nil || start != offset {
		s.t.Fatalf("the log begins at %d, %v, want %d", start, err, offset)
	}
}

func deleteRecords(topic string, offset int64) []byte {
	var b bytes.Buffer
	text := func(t string) {
		b.Write(binary.BigEndian.AppendUint16(nil, uint16(len(t))))
		b.WriteString(t)
	}
	number := func(n uint32) { b.Write(binary.BigEndian.AppendUint32(nil, n)) }
	b.Write([]byte{0, 21, 0, 0})
	number(1) // correlation id
	text("test")
	number(1)
	text(topic)
	number(1)
	number(0) // partition
	b.Write(binary.BigEndian.AppendUint64(nil, uint64(offset)))
	number(10_000) // time-out, ms
	return b.Bytes()
}

// Where retention took the log's start, the journal stands in for it; what it says is compared as before.
func TestAudit_TruncatedLog(t *testing.T) {
	s := newStill(t)
	person := s.someone()
	entry := s.redis.HGet(t.Context(), s.keys.Granted("tea", ""), person).Val()
	s.truncate(12)
	got := s.audit()
	if got.code != exitOK || !strings.Contains(got.out, "no difference; the log leads to 3 definitions and 21 grants") {
		t.Errorf("a log without its start: %+v", got)
	}
	s.do("HDEL", s.keys.Granted("tea", ""), person)
	if got := s.audit(); got.code != exitFailure || !strings.Contains(got.out, "is missing in coupon tea, sequence") {
		t.Errorf("a person is gone, and the log of it too: %+v", got)
	}
	s.do("HSET", s.keys.Granted("tea", ""), person, entry)
	s.truncate(s.end())
	if got := s.audit(); got.code != exitOK {
		t.Errorf("a log of which nothing is left: %+v", got)
	}
}

func (s *still) end() int64 {
	s.t.Helper()
	client := s.servers.Kafka(s.t)
	_, end, err := client.Bounds(s.t.Context(), client.Config().Topic(event.TopicRequests), 0)
	if err != nil {
		s.t.Fatal(err)
	}
	return end
}
