package compare

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/pkg/coupontest/embedded"
)

// What a driver calls a round trip is one here: a command, a pipeline of many, a transaction.
func TestProxy(t *testing.T) {
	server, err := embedded.StartRedis("")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	p, err := newProxy(func() (net.Conn, error) { return net.Dial("tcp", server.Addr()) })
	if err != nil {
		t.Fatal(err)
	}
	pool := redis.NewClient(&redis.Options{Addr: p.addr()})
	client := pool.Conn() // one connection
	ctx := t.Context()
	client.Ping(ctx) // and what a driver says to begin with
	for _, c := range []struct {
		what  string
		do    func() error
		trips int64
	}{
		{"one command", func() error { return client.Set(ctx, "a", "1", 0).Err() }, 1},
		{"two", func() error { client.Get(ctx, "a"); return client.Get(ctx, "a").Err() }, 2},
		{"a pipeline", func() error {
			_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
				for i := range 100 {
					p.Set(ctx, fmt.Sprint(i), "1", 0)
				}
				return nil
			})
			return err
		}, 1},
		{"a transaction", func() error {
			_, err := client.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Incr(ctx, "n"); return p.Incr(ctx, "n").Err() })
			return err
		}, 1},
		{"a value in many pieces", func() error { return client.Set(ctx, "a", strings.Repeat("x", 1<<20), 0).Err() }, 1},
	} {
		before := p.traffic()
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if got := p.traffic().trips - before.trips; got != c.trips {
			t.Errorf("%s takes %d round trips, want %d", c.what, got, c.trips)
		}
	}
	_ = client.Close()
	_ = pool.Close()
	if err := p.close(); err != nil {
		t.Error(err)
	}
}

// Bytes count in both directions.
func TestProxy_Bytes(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		conn, err := server.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.ReadFull(conn, make([]byte, 5))
		_, _ = io.WriteString(conn, "answer!")
	}()
	p, err := newProxy(func() (net.Conn, error) { return net.Dial("tcp", server.Addr().String()) })
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", p.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "asked")
	if answer, err := io.ReadAll(conn); err != nil || string(answer) != "answer!" {
		t.Errorf("%q, %v", answer, err)
	}
	if got := p.traffic(); got != (traffic{trips: 1, bytes: 12}) {
		t.Errorf("%+v", got)
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
}
