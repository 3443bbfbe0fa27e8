// Package redisstore is the partition's store in Redis: a single server, one behind sentinels, or a cluster. All keys of a
// partition are in one slot.
package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/redislayout"
)

// patience is how long one call may take: the largest script needs a few milliseconds, and who waits behind a Redis that
// does not answer had better try again.
const patience = 5 * time.Second

// Client is a connection to Redis for all partitions of a process.
type Client struct {
	redis  redis.UniversalClient
	prefix string
}

// Open prepares a client. It connects to nobody: a Redis that is down shows in the calls.
func Open(cfg env.Redis) *Client {
	o := &redis.UniversalOptions{
		Addrs: cfg.Addr, Username: cfg.Username, Password: cfg.Password,
		IsClusterMode: cfg.Mode == "cluster",
		// No retries: whether a script took effect is for the partition to find out.
		MaxRetries: -1, DialTimeout: patience, DialerRetries: 1,
		ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: patience,
		ContextTimeoutEnabled: true, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if cfg.Mode == "sentinel" {
		o.MasterName = cfg.Master
	}
	if cfg.TLS {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &Client{redis: redis.NewUniversalClient(o), prefix: cfg.Prefix}
}

// Close ends all connections.
func (c *Client) Close() error { return c.redis.Close() }

// Partition is the store of one partition.
func (c *Client) Partition(partition int32) *Store {
	return &Store{redis: c.redis, keys: redislayout.New(c.prefix, partition), partition: partition}
}

// ErrEvicts is what is wrong with a Redis that drops what it promised to keep.
var ErrEvicts = errors.New("the maxmemory-policy evicts keys without expiry: set noeviction, else Redis forgets who has a coupon when its memory is full")

// Check waits for nobody: it tells whether Redis answers, and whether it can be trusted with what has no expiry. Where it
// may not be asked for its policy, it is believed.
func (c *Client) Check(ctx context.Context) error {
	if err := c.redis.Ping(ctx).Err(); err != nil {
		return err
	}
	memory, err := c.redis.Info(ctx, "memory").Result()
	if err == nil && strings.Contains(memory, "maxmemory_policy:allkeys") {
		return ErrEvicts
	}
	return nil
}
