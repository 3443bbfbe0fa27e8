package embedded

import (
	"fmt"

	"github.com/alicebob/miniredis/v2"
)

// RedisVersion names the fake and its version, as pinned in go.mod.
const RedisVersion = "miniredis v2.40.0"

// Redis is a running miniredis. It starts empty, always.
type Redis struct {
	server *miniredis.Miniredis
	addr   string
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
	server.ClockTTL(true) // else no key would ever time out
	return &Redis{server: server, addr: server.Addr()}, nil
}

// Addr is the host:port it listens on.
func (r *Redis) Addr() string { return r.addr }

// FlushAll drops every key at once, as FLUSHALL does.
func (r *Redis) FlushAll() { r.server.FlushAll() }

// Close stops Redis and drops its data.
func (r *Redis) Close() { r.server.Close() }
