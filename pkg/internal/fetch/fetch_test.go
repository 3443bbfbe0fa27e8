package fetch

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/broker"
)

// respond is an answer of version 11 for one partition.
func respond(correlation int32, code int16, topic string, partition int32, records []byte) []byte {
	b := appendInt32(nil, correlation)
	b = appendInt32(b, 0) // throttled
	b = append(b, 0, 0)   // error of all
	b = appendInt32(b, 0) // session
	b = appendInt32(b, 1)
	b = appendString(b, topic)
	b = appendInt32(b, 1)
	b = appendInt32(b, partition)
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	b = binary.BigEndian.AppendUint64(b, 42) // high watermark
	b = binary.BigEndian.AppendUint64(b, 41) // last stable offset
	b = binary.BigEndian.AppendUint64(b, 7)  // log start
	b = appendInt32(b, 1)                    // aborted transactions
	b = append(b, make([]byte, 16)...)
	b = appendInt32(b, -1) // preferred replica
	b = appendInt32(b, int32(len(records)))
	return append(b, records...)
}

// dialTo makes a connection to a broker that answers each request with what
// answer says (framed by this function), and hangs up on nil.
func dialTo(t *testing.T, answer func(request []byte) []byte) *Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	go func() {
		defer theirs.Close()
		for {
			var size [4]byte
			if _, err := io.ReadFull(theirs, size[:]); err != nil {
				return
			}
			request := make([]byte, binary.BigEndian.Uint32(size[:]))
			if _, err := io.ReadFull(theirs, request); err != nil {
				return
			}
			body := answer(request)
			if body == nil {
				return
			}
			theirs.Write(append(appendInt32(nil, int32(len(body))), body...))
		}
	}()
	return &Conn{conn: ours, topic: "topic", partition: 3}
}

func TestConn_Fetch(t *testing.T) {
	correlation := int32(0)
	code := int16(0)
	c := dialTo(t, func(request []byte) []byte {
		correlation++
		return respond(correlation, code, "topic", 3, []byte("records"))
	})
	res, err := c.Fetch(context.Background(), Request{Offset: 9, MaxBytes: 100, MaxWait: time.Second})
	if err != nil || res.HighWatermark != 42 || res.LogStart != 7 || string(res.Records) != "records" {
		t.Errorf("%+v, %v", res, err)
	}
	code = int16(kafka.NotLeaderForPartition)
	if _, err = c.Fetch(context.Background(), Request{}); !errors.Is(err, kafka.NotLeaderForPartition) {
		t.Error(err)
	}
	code = 0
	if _, err = c.Fetch(context.Background(), Request{}); err != nil {
		t.Errorf("the connection does not go on after the broker's error: %v", err)
	}
}

func TestConn_Fetch_answersThatCannotBeRead(t *testing.T) {
	good := respond(1, 0, "topic", 3, []byte("records"))
	changed := func(at int, v ...byte) []byte {
		b := slices.Clone(good)
		copy(b[at:], v)
		return b
	}
	tests := map[string][]byte{
		"hung up":             nil,
		"empty":               {},
		"three bytes":         {0, 0, 0},
		"another answer":      changed(0, 0, 0, 0, 9),
		"another topic":       respond(1, 0, "other", 3, nil),
		"another partition":   respond(1, 0, "topic", 4, nil),
		"2^31-1 topics":       changed(14, 0x7f, 0xff, 0xff, 0xff),
		"2^31-1 partitions":   changed(25, 0x7f, 0xff, 0xff, 0xff),
		"negative topics":     changed(14, 0xff, 0xff, 0xff, 0xff),
		"long name":           changed(18, 0x7f, 0xff),
		"negative name":       changed(18, 0xff, 0xff),
		"more records":        changed(len(good)-11, 0, 0, 0, 8),
		"2^31-1 records":      changed(len(good)-11, 0x7f, 0xff, 0xff, 0xff),
		"2^31-1 transactions": changed(59, 0x7f, 0xff, 0xff, 0xff),
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			c := dialTo(t, func([]byte) []byte { return body })
			if res, err := c.Fetch(context.Background(), Request{}); err == nil || !broker.Retriable(err) {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
	for n := range good {
		c := &Conn{topic: "topic", partition: 3, correlation: 1}
		if _, err := c.parse(good[:n]); err == nil {
			t.Errorf("%d of %d bytes were enough", n, len(good))
		}
	}
}

func TestConn_Fetch_contextEnds(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	c := dialTo(t, func([]byte) []byte { <-never; return nil })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Fetch(ctx, Request{MaxWait: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestConn_Fetch_longAnswer(t *testing.T) {
	records := make([]byte, piece+piece/2)
	records[len(records)-1] = 1
	c := dialTo(t, func([]byte) []byte { return respond(1, 0, "topic", 3, records) })
	if res, err := c.Fetch(context.Background(), Request{}); err != nil || !slices.Equal(res.Records, records) {
		t.Errorf("%d bytes, %v", len(res.Records), err)
	}
}

func FuzzConn_parse(f *testing.F) {
	f.Add(respond(1, 0, "topic", 3, []byte("records")))
	f.Fuzz(func(t *testing.T, body []byte) {
		c := &Conn{topic: "topic", partition: 3, correlation: 1}
		if res, err := c.parse(body); err == nil && len(res.Records) > len(body) {
			t.Errorf("%d bytes of records in %d", len(res.Records), len(body))
		}
	})
}
