package embedded

import (
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// RedisVersion names the fake and its version, as pinned in go.mod.
const RedisVersion = "miniredis v2.40.0"

// agingEvery is how exactly keys time out: up to this much too early. miniredis' own ClockTTL is exact, and looks at all
// keys with each command: with the guards of a crowd it is eight times slower.
const agingEvery = 100 * time.Millisecond

// Redis is a running miniredis. It starts empty, always.
type Redis struct {
	server *miniredis.Miniredis
	addr   string
	stop   func()
	aging  sync.WaitGroup
}

// StartRedis starts Redis on host:port; "" is a free port of 127.0.0.1. It answers when this returns.
func StartRedis(addr string) (*Redis, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("embedded redis: listen on %s: %w", addr, err)
	}
	stopped := make(chan struct{})
	r := &Redis{server: server, addr: server.Addr(), stop: sync.OnceFunc(func() { close(stopped) })}
	r.aging.Go(func() { age(server, stopped) }) // else no key would ever time out
	return r, nil
}

// age lets the keys' time to live run.
func age(server *miniredis.Miniredis, stopped <-chan struct{}) {
	tick := time.NewTicker(agingEvery)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-stopped:
			return
		case <-tick.C:
			now := time.Now()
			server.FastForward(now.Sub(last))
			last = now
		}
	}
}

// Addr is the host:port it listens on.
func (r *Redis) Addr() string { return r.addr }

// FlushAll drops every key at once, as FLUSHALL does.
func (r *Redis) FlushAll() { r.server.FlushAll() }

// Close stops Redis and drops its data.
func (r *Redis) Close() {
	r.stop()
	r.aging.Wait()
	r.server.Close()
}
