package audit

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
)

// A broker that goes away while its log is read, and stays away, ends the audit and says what was waited for.
func TestStream_BrokerGone(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	client, err := broker.New(broker.Config{Brokers: []string{gone.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s := newStream(client, "coupon.requests", 3, 7, 9, func(int64) {})
	defer s.Close()
	s.patience = 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, _, err = s.Record(ctx)
	if err == nil || !strings.Contains(err.Error(), "in 50ms no broker gave offset 7 of partition 3 of topic coupon.requests: ") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
	over, end := context.WithTimeout(t.Context(), 0)
	defer end()
	if _, _, err := s.Record(over); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v of an audit whose own time is over", err)
	}
}
