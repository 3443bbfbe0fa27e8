package redisstore

import (
	"crypto/tls"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/firstcome/firstcome/internal/env"
)

// Open prepares a store. It connects to nobody: a Redis that is down shows in the calls.
func Open(cfg env.Redis) *Store {
	o := &redis.UniversalOptions{
		Addrs: cfg.Addr, Username: cfg.Username, Password: cfg.Password,
		IsClusterMode: cfg.Mode == "cluster",
		// One retry: all calls may be made twice, and a connection that a restarted Redis left behind is found by using it.
		MaxRetries: 1, MinRetryBackoff: time.Millisecond, MaxRetryBackoff: 10 * time.Millisecond,
		DialTimeout: Patience, DialerRetries: 1, ReadTimeout: Patience, WriteTimeout: Patience, PoolTimeout: Patience,
		ContextTimeoutEnabled:    true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if cfg.Mode == "sentinel" {
		o.MasterName = cfg.Master
	}
	if cfg.TLS {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &Store{client: redis.NewUniversalClient(o), prefix: cfg.Prefix}
}
