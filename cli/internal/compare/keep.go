package compare

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/cli/internal/local"
	"github.com/firstcome/firstcome/pkg/coupontest/embedded"
)

// Given are servers that exist. Those that are not given are embedded.
type Given struct{ Kafka, Redis, Postgres string }

// Place is what a run has of the servers, and of nobody else: topics with a prefix, a Redis that was empty, a database.
type Place struct {
	Problem     string // why there is none
	Folder      string // of this run alone
	Kafka       string
	Redis       string
	Database    string // URL
	TopicPrefix string
	RedisPrefix string
	Servers     []Server // Kafka, Redis, Postgres
}

// Server is one of the three as a reader of figures wants to know it.
type Server struct {
	Name     string
	Version  string
	Embedded bool
}

// partitions are those of local mode.
const partitions = 12

// stepTimeout bounds one step on a server that may not answer.
const stepTimeout = 30 * time.Second

// Keep is the process that has the servers' place: it opens it, tells it as one line of JSON, and keeps it until its input
// ends, as it does with the process that started it, however that dies. Then everything goes: topics, keys, database, and
// whatever is embedded.
func Keep(ctx context.Context, given Given, getenv func(string) string, in io.Reader, out io.Writer) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	go func() {
		defer end()
		_, _ = io.Copy(io.Discard, in)
	}()
	k := &keeper{given: given, getenv: getenv, Place: named(given, getenv)}
	if err := k.open(ctx); err != nil {
		k.Problem = err.Error()
	}
	if err := json.NewEncoder(out).Encode(k.Place); err == nil && k.Problem == "" {
		<-ctx.Done()
	}
	return k.close()
}

// named gives a run its names. What an operator's prefix keeps apart stays apart.
func named(given Given, getenv func(string) string) Place {
	run := "compare-" + strings.ToLower(rand.Text()[:8])
	p := Place{TopicPrefix: run + ".", RedisPrefix: run}
	if given.Kafka != "" {
		p.TopicPrefix = getenv(endpoint.TopicPrefix) + p.TopicPrefix
	}
	return p
}

// keeper has what is to be given back.
type keeper struct {
	Place
	given   Given
	getenv  func(string) string
	servers *local.Servers
	closers []func(context.Context) error
}

func (k *keeper) open(ctx context.Context) (err error) {
	if k.Folder, err = os.MkdirTemp("", "firstcome-compare-"); err != nil {
		return err
	}
	k.closers = append(k.closers, func(context.Context) error { return os.RemoveAll(k.Folder) })
	if err := os.Chmod(k.Folder, 0o711); err != nil { // for the account that runs Postgres where this one is root
		return err
	}
	data := filepath.Join(k.Folder, "servers")
	k.closers = append(k.closers, func(context.Context) error { return local.Remove(data) })
	k.servers, err = local.StartServers(ctx, local.Config{
		DataDir: data, Kafka: k.given.Kafka, Redis: k.given.Redis, Postgres: k.given.Postgres, Getenv: k.setting,
		Say: func(what string) { fmt.Fprintln(os.Stderr, what) },
	})
	if err != nil {
		return err
	}
	k.closers = append(k.closers, func(context.Context) error { return k.servers.Close() })
	k.Kafka, k.Redis = strings.Join(k.servers.Kafka.Brokers, ","), strings.Join(k.servers.Redis.Addr, ",")
	for _, take := range []func(context.Context) (string, error){k.takeKafka, k.takeRedis, k.takePostgres} {
		if err := k.take(ctx, take); err != nil {
			return err
		}
	}
	for i, given := range []string{k.given.Kafka, k.given.Redis, k.given.Postgres} {
		k.Servers[i].Name, k.Servers[i].Embedded = []string{"Kafka", "Redis", "Postgres"}[i], given == ""
	}
	k.closers = append(k.closers, k.idle)
	return nil
}

// pipelines are folders of the run's folder, each of a `firstcome local`.
const pipelines = "pipeline-*"

// idle waits for a pipeline whose parent was killed: as long as it lives it writes.
func (k *keeper) idle(ctx context.Context) error {
	folders, err := filepath.Glob(filepath.Join(k.Folder, pipelines))
	for _, folder := range folders {
		err = errors.Join(err, local.Idle(ctx, folder))
	}
	return err
}

func (k *keeper) take(ctx context.Context, from func(context.Context) (string, error)) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	version, err := from(ctx)
	k.Servers = append(k.Servers, Server{Version: version})
	return err
}

// setting is the environment with the names of this run.
func (k *keeper) setting(name string) string {
	switch name {
	case endpoint.TopicPrefix:
		return k.TopicPrefix
	case endpoint.RedisPrefix:
		return k.RedisPrefix
	}
	return k.getenv(name)
}

// close gives everything back, last taken first, and goes on where a step fails.
func (k *keeper) close() error {
	var errs []error
	for i := len(k.closers) - 1; i >= 0; i-- {
		ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
		errs = append(errs, k.closers[i](ctx))
		cancel()
	}
	return errors.Join(errs...)
}

// takeRedis takes a database that nobody uses: it will be emptied.
func (k *keeper) takeRedis(ctx context.Context) (string, error) {
	if mode := k.servers.Redis.Mode; mode != "single" {
		return "", fmt.Errorf("REDIS_MODE is %s, and the strategies expect a single server", mode)
	}
	client := endpoint.RedisClient(k.servers.Redis)
	k.closers = append(k.closers, func(context.Context) error { return client.Close() })
	held, err := client.DBSize(ctx).Result()
	if err != nil {
		return "", fmt.Errorf("redis at %s: %w", k.Redis, err)
	}
	if held > 0 {
		example, _ := client.RandomKey(ctx).Result()
		return "", fmt.Errorf("redis at %s holds %d keys, such as %q: a Redis that is lost is one of the attacks, so compare empties its database, "+
			"and takes only one without any key. It is database 0 of its server, as for all of Firstcome: give the address of another server, or none, which embeds one", k.Redis, held, example)
	}
	k.closers = append(k.closers, func(ctx context.Context) error { return empty(ctx, client, k.RedisPrefix) })
	if k.given.Redis == "" {
		return embedded.RedisVersion, nil
	}
	return redisVersion(ctx, client), nil
}

func redisVersion(ctx context.Context, client redis.UniversalClient) string {
	info, _ := client.Info(ctx, "server").Result() // not everybody may ask
	for line := range strings.Lines(info) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "redis_version:"); ok {
			return "Redis " + version
		}
	}
	return "Redis, which tells no version"
}

// empty empties the database of a run, as a Redis without a disk is that comes back. It touches no key of anybody else, and
// says whose it found.
func empty(ctx context.Context, client redis.UniversalClient, prefix string) error {
	var own []string
	foreign := ""
	for all := client.Scan(ctx, 0, "", 1000).Iterator(); ; {
		if !all.Next(ctx) {
			if err := all.Err(); err != nil {
				return fmt.Errorf("empty redis: %w", err)
			}
			break
		}
		key := all.Val()
		if strings.HasPrefix(key, prefix+":") || strings.HasPrefix(key, "coupon:") || strings.HasPrefix(key, "lock:coupon:") {
			own = append(own, key)
		} else {
			foreign = key
		}
	}
	if foreign == "" {
		if err := client.FlushDB(ctx).Err(); err != nil {
			return fmt.Errorf("empty redis: %w", err)
		}
		return nil
	}
	err := fmt.Errorf("somebody else has begun to use this Redis: %q is not a key of compare's; only compare's were removed", foreign)
	if len(own) > 0 {
		err = errors.Join(err, client.Unlink(ctx, own...).Err())
	}
	return err
}
