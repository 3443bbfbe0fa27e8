package compare

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/pkg/broker"
)

// place is the run's side of a Keep.
type place struct {
	Place
	program string
	given   Given
	getenv  func(string) string
	errs    io.Writer
	abandon context.CancelCauseFunc // ends the run before it is done
	cmd     *exec.Cmd
	in      io.Closer
}

// What a child is waited for; and Keep at its end, when it takes several steps on servers that may not answer.
const (
	patience = 2 * time.Minute
	giving   = 10 * stepTimeout
)

// openPlace starts a Keep, and returns when it has the servers.
func openPlace(ctx context.Context, cfg Config) (*place, error) {
	p := &place{program: cfg.Program, given: cfg.Given, getenv: cfg.Getenv, errs: cfg.Err}
	p.cmd = exec.Command(p.program, "compare", "servers", "--kafka", p.given.Kafka, "--redis", p.given.Redis)
	p.cmd.Env = append(os.Environ(), endpoint.DatabaseURL+"="+p.given.Postgres) // the arguments are everybody's to read
	p.cmd.Stderr = cfg.Err
	apart(p.cmd)
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.in = in
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { in.Close() })()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &p.Place)
	}
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err != nil:
		err = fmt.Errorf("the process that has the servers: %w", err)
	case p.Problem != "":
		err = errors.New(p.Problem)
	}
	if err != nil {
		return nil, errors.Join(err, p.close(giving))
	}
	return p, nil
}

// close returns when everything was given back; what could not be, Keep has said, unless it is late.
func (p *place) close(within time.Duration) error {
	p.in.Close()
	late := time.AfterFunc(within, func() {
		fmt.Fprintf(p.errs, "firstcome: after %s the servers are not given back; what may be left: %s\n", within, p.made())
		_ = p.cmd.Process.Kill()
	})
	defer late.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("the servers are not as they were: %w", err)
	}
	return nil
}

// made is whatever a run may leave, as somebody has to look for it.
func (p *place) made() string {
	if p.RedisPrefix == "" {
		return "what has compare in its name"
	}
	return fmt.Sprintf("topics and groups %s*, database %s, in Redis %s, %s:* and coupon:*", p.TopicPrefix, databaseName(p.RedisPrefix), mark, p.RedisPrefix)
}

// setting is what the environment says of how a server lets one in; of an embedded one it says nothing.
func (p *place) setting(name string) string {
	switch {
	case strings.HasPrefix(name, "KAFKA_") && p.given.Kafka == "", strings.HasPrefix(name, "REDIS_") && p.given.Redis == "":
		return ""
	}
	return p.getenv(name)
}

func (p *place) redisConfig() (env.Redis, error) {
	return endpoint.Redis(map[string]string{endpoint.RedisAddr: p.Redis, endpoint.RedisPrefix: p.RedisPrefix}, p.setting)
}

// redis is a client of the run's own database.
func (p *place) redis() (*redis.Client, error) {
	cfg, err := p.redisConfig()
	if err != nil {
		return nil, err
	}
	return endpoint.RedisClient(cfg).(*redis.Client), nil // single, as Keep saw to
}

func (p *place) broker() (*broker.Client, error) {
	cfg, err := endpoint.Kafka(map[string]string{endpoint.KafkaBrokers: p.Kafka, endpoint.TopicPrefix: p.TopicPrefix}, p.setting)
	if err != nil {
		return nil, err
	}
	return broker.New(cfg)
}

// count puts a proxy before Redis. It takes TLS upon itself, so that bytes are those of the commands.
func (p *place) count() (*proxy, error) {
	cfg, err := p.redisConfig()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: stepTimeout}
	return newProxy(func() (net.Conn, error) {
		if !cfg.TLS {
			return dialer.Dial("tcp", p.Redis)
		}
		return tls.DialWithDialer(dialer, "tcp", p.Redis, &tls.Config{MinVersion: tls.VersionTLS12})
	})
}

// serverSetting tells of a variable whether it speaks of servers, or of who may ask them.
func serverSetting(name string) bool {
	for _, prefix := range []string{"KAFKA_", "REDIS_", "JWT_", "DATABASE_URL", "GATEWAY_", "LEDGER_", "ADMIN_TOKEN", "CLAIM_TOKEN", "READ_TOKEN"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// environ is the environment of a child: where the run's servers are, and how they let one in. With a proxy Redis is there.
func (p *place) environ(through *proxy) []string {
	own := map[string]string{
		endpoint.KafkaBrokers: p.Kafka, endpoint.TopicPrefix: p.TopicPrefix, endpoint.DatabaseURL: p.Database,
		endpoint.RedisAddr: p.redisAt(through), endpoint.RedisPrefix: p.RedisPrefix,
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		lets := strings.HasPrefix(name, "KAFKA_") || strings.HasPrefix(name, "REDIS_") && (through == nil || name != "REDIS_TLS")
		return serverSetting(name) && (own[name] != "" || !lets || p.setting(name) == "")
	})
	for name, value := range own {
		env = append(env, name+"="+value)
	}
	return env
}

func (p *place) redisAt(through *proxy) string {
	if through != nil {
		return through.addr()
	}
	return p.Redis
}
