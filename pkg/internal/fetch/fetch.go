// Package fetch asks the leader of one partition for records, by Fetch version
// 11 on a connection of its own, and always takes the whole answer off the
// connection: kafka-go's does not when an answer has records although its high
// watermark is the asked offset, and reads nonsense from then on.
package fetch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/broker"
)

const (
	apiKey     = 1
	apiVersion = 11
	clientID   = "firstcome"
	// patience is what a broker may take beyond the wait it was asked for, and
	// again for each piece of a long answer.
	patience = 10 * time.Second
	// piece is the memory that is set aside on the word of an answer's length;
	// the rest follows as the bytes come.
	piece = 16 << 20
)

// Conn is a connection to the leader of a partition. It is not safe for
// concurrent use, and of no use any more after an error other than Code's.
type Conn struct {
	conn        net.Conn
	topic       string
	partition   int32
	correlation int32
	request     []byte
}

// Dial connects to the leader.
func Dial(ctx context.Context, client *broker.Client, topic string, partition int32) (*Conn, error) {
	leader, err := client.Leader(ctx, topic, partition)
	if err != nil {
		return nil, err
	}
	conn, err := client.Dial(ctx, leader)
	if err != nil {
		return nil, err
	}
	return &Conn{conn: conn, topic: topic, partition: partition}, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Request says what to fetch.
type Request struct {
	Offset   int64
	MaxBytes int32         // a first batch that is larger comes all the same
	MaxWait  time.Duration // for the first byte
}

// Response is what a broker answered. Its memory is never used again here.
type Response struct {
	HighWatermark int64
	LogStart      int64
	Records       []byte // batches, the last one perhaps cut off
}

// Fetch asks once. A kafka.Error is the broker's answer, and the connection
// goes on; after any other error, the context's end included, close it.
func (c *Conn) Fetch(ctx context.Context, r Request) (Response, error) {
	stop := context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })
	res, err := c.roundTrip(ctx, r)
	if !stop() && err == nil {
		err = ctx.Err() // the deadline may still come over the next request
	}
	if err != nil && ctx.Err() != nil {
		return Response{}, ctx.Err()
	}
	return res, err
}

func (c *Conn) roundTrip(ctx context.Context, r Request) (Response, error) {
	if err := c.extend(ctx, r.MaxWait); err != nil {
		return Response{}, err
	}
	c.correlation++
	c.encode(r)
	if _, err := c.conn.Write(c.request); err != nil {
		return Response{}, err
	}
	var head [4]byte
	if _, err := io.ReadFull(c.conn, head[:]); err != nil {
		return Response{}, err
	}
	body, err := c.read(ctx, int32(binary.BigEndian.Uint32(head[:])))
	if err != nil {
		return Response{}, err
	}
	return c.parse(body)
}

// extend sets the deadline, unless the context has ended, whose own deadline
// must stand.
func (c *Conn) extend(ctx context.Context, wait time.Duration) error {
	if err := c.conn.SetDeadline(time.Now().Add(wait + patience)); err != nil {
		return err
	}
	return ctx.Err()
}

func (c *Conn) read(ctx context.Context, size int32) ([]byte, error) {
	if size < 4 {
		return nil, fmt.Errorf("an answer of %d bytes: %w", size, errAnswer)
	}
	body := make([]byte, 0, min(size, piece))
	for len(body) < int(size) {
		if err := c.extend(ctx, 0); err != nil {
			return nil, err
		}
		if len(body) == cap(body) {
			grown := make([]byte, len(body), min(2*cap(body), int(size)))
			copy(grown, body)
			body = grown
		}
		n, err := io.ReadFull(c.conn, body[len(body):min(cap(body), len(body)+piece)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return body, nil
}

func (c *Conn) encode(r Request) {
	b := append(c.request[:0], 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, apiKey)
	b = binary.BigEndian.AppendUint16(b, apiVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(c.correlation))
	b = appendString(b, clientID)

	b = appendInt32(b, -1) // not a replica
	b = appendInt32(b, int32(r.MaxWait/time.Millisecond))
	b = appendInt32(b, 1) // min bytes
	b = appendInt32(b, r.MaxBytes)
	b = append(b, 0)       // read uncommitted: nobody here writes transactions
	b = appendInt32(b, 0)  // no fetch session
	b = appendInt32(b, -1) // nor the wish for one
	b = appendInt32(b, 1)  // topics
	b = appendString(b, c.topic)
	b = appendInt32(b, 1) // partitions
	b = appendInt32(b, c.partition)
	b = appendInt32(b, -1) // leader epoch: not checked
	b = binary.BigEndian.AppendUint64(b, uint64(r.Offset))
	b = binary.BigEndian.AppendUint64(b, 1<<64-1) // log start: a follower's matter
	b = appendInt32(b, r.MaxBytes)
	b = appendInt32(b, 0)   // forgotten topics
	b = appendString(b, "") // rack
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	c.request = b
}

func appendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

var errAnswer = fmt.Errorf("it can't be read: %w", io.ErrUnexpectedEOF)

// parse reads an answer for one partition.
func (c *Conn) parse(body []byte) (Response, error) {
	a := answer{rest: body}
	if correlation := a.int32(); correlation != c.correlation {
		return Response{}, fmt.Errorf("answer %d to request %d: %w", correlation, c.correlation, errAnswer)
	}
	a.int32() // throttled: the broker holds back by itself
	code := kafka.Error(a.int16())
	a.int32() // session
	if code != 0 {
		return Response{}, code
	}
	for range a.count() {
		topic := a.string()
		for range a.count() {
			partition := a.int32()
			res, code := a.partition()
			if a.broken || topic != c.topic || partition != c.partition {
				continue
			}
			if code != 0 {
				return Response{}, code
			}
			return res, nil
		}
	}
	return Response{}, errAnswer
}
