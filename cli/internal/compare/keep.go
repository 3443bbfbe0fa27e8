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

	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/cli/internal/local"
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

// take begins no step when ctx has ended, and ends one that was begun: a server goes on making what nobody waits for any more,
// and it would be left.
func (k *keeper) take(ctx context.Context, from func(context.Context) (string, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepTimeout)
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
