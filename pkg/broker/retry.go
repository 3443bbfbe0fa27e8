package broker

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// Retriable reports whether trying again can help: a broker that is away or
// restarting, a leader that moved, a topic that is not there yet, a time-out.
// A time-out of the caller's own context counts too: look at it first.
func Retriable(err error) bool {
	var code kafka.Error
	if errors.As(err, &code) {
		return code.Temporary() || code == kafka.BrokerNotAvailable || code == kafka.ReplicaNotAvailable ||
			code == kafka.Unknown // what ListOffsets says of a partition whose connection broke
	}
	for _, known := range retriable {
		if errors.Is(err, known) {
			return true
		}
	}
	var network net.Error
	return errors.As(err, &network) && !errors.Is(err, context.Canceled) && !turnedAway(err)
}

// turnedAway tells a TLS alert of the broker (it wants another certificate, or
// one at all) from a network that is in trouble: the same type is both.
func turnedAway(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

var retriable = []error{
	ErrNoTopic,
	protocol.ErrNoTopic, protocol.ErrNoPartition, protocol.ErrNoLeader,
	io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed,
	syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE,
	os.ErrDeadlineExceeded, context.DeadlineExceeded,
}

// NotSent reports that a request certainly never left for a broker: err comes
// from before that, from finding or connecting to one.
func NotSent(err error) bool {
	return errors.Is(err, errConnect) || errors.Is(err, protocol.ErrNoTopic) ||
		errors.Is(err, protocol.ErrNoPartition) || errors.Is(err, protocol.ErrNoLeader)
}

// Backoff waits longer with each try: from Min, doubling, to Max, half of it by
// chance, so that many who lost the same broker do not return at once. The zero
// value is ready.
type Backoff struct {
	Min time.Duration // 0: 50 ms
	Max time.Duration // 0: 1 s, or Min where that is longer

	tries int
}

const (
	firstWait = 50 * time.Millisecond
	lastWait  = time.Second
)

// Wait sleeps, or returns the context's error as soon as it ends.
func (b *Backoff) Wait(ctx context.Context) error {
	wait := b.next()
	timer := time.NewTimer(wait/2 + rand.N(wait/2+1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (b *Backoff) next() time.Duration {
	wait, most := b.Min, b.Max
	if wait <= 0 {
		wait = firstWait
	}
	if most <= 0 {
		most = max(lastWait, wait)
	}
	for range b.tries {
		if wait >= most/2 {
			wait = most
			break
		}
		wait *= 2
	}
	b.tries++
	return min(wait, most)
}

// Tries is how often Wait was called since the last Reset.
func (b *Backoff) Tries() int { return b.tries }

// Reset begins again with the shortest wait.
func (b *Backoff) Reset() { b.tries = 0 }
