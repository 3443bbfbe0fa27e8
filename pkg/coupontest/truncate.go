package coupontest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"
)

// Truncate does what retention does: a partition of a topic, named in full, begins at offset from then on. kafka-go can't
// ask for it, so these are the bytes of DeleteRecords v0 (key 21).
func (s *Servers) Truncate(t testing.TB, topic string, partition int32, offset int64) {
	t.Helper()
	must(t, "truncate "+topic, func(ctx context.Context) error {
		client, err := s.broker()
		if err != nil {
			return err
		}
		defer client.Close()
		leader, err := client.Leader(ctx, topic, partition)
		if err != nil {
			return err
		}
		conn, err := client.Dial(ctx, leader)
		if err != nil {
			return err
		}
		defer conn.Close()
		if until, ok := ctx.Deadline(); ok {
			_ = conn.SetDeadline(until)
		}
		if err := truncate(conn, topic, partition, offset); err != nil {
			return err
		}
		start, _, err := client.Bounds(ctx, topic, partition)
		if err == nil && start != offset {
			err = fmt.Errorf("it begins at offset %d, not %d", start, offset)
		}
		return err
	})
}

func truncate(conn io.ReadWriter, topic string, partition int32, offset int64) error {
	request := deleteRecords(topic, partition, offset)
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)); err != nil {
		return err
	}
	size := make([]byte, 4)
	if _, err := io.ReadFull(conn, size); err != nil {
		return err
	}
	answer := make([]byte, binary.BigEndian.Uint32(size))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if len(answer) < 2 || binary.BigEndian.Uint16(answer[len(answer)-2:]) != 0 {
		return errors.New("DeleteRecords was refused")
	}
	return nil
}

func deleteRecords(topic string, partition int32, offset int64) []byte {
	var b bytes.Buffer
	text := func(t string) {
		b.Write(binary.BigEndian.AppendUint16(nil, uint16(len(t))))
		b.WriteString(t)
	}
	number := func(n uint32) { b.Write(binary.BigEndian.AppendUint32(nil, n)) }
	b.Write([]byte{0, 21, 0, 0})
	number(1) // correlation id
	text("coupontest")
	number(1)
	text(topic)
	number(1)
	number(uint32(partition))
	b.Write(binary.BigEndian.AppendUint64(nil, uint64(offset)))
	number(10_000) // time-out, ms
	return b.Bytes()
}
