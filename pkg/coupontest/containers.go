package coupontest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/redis/go-redis/v9"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
	tcpostgres "github.com/testcontainers/testcontainers-go/modules/postgres"
	tcredis "github.com/testcontainers/testcontainers-go/modules/redis"
)

// The images; deployments/compose.yaml runs the same.
const (
	kafkaImage    = "apache/kafka:4.3.1"
	redisImage    = "redis:8.0"
	postgresImage = "postgres:17"
)

const containerLabel = "firstcome.coupontest" // its value tells the containers of one process from all others

var containersKind = kind{
	name: "containers",
	ready: func() error {
		if _, err := engine(); err != nil {
			return fmt.Errorf("%w; start one, or run the tests with %s=%s, which needs none", err, EnvServers, embeddedKind.name)
		}
		return nil
	},
	start: map[Need]starter{Kafka: kafkaContainer, Redis: redisContainer, Postgres: postgresContainer},
}

// prefer sets a variable of testcontainers that nobody has set.
func prefer(name, value string) error {
	if _, said := os.LookupEnv(name); said {
		return nil
	}
	return os.Setenv(name, value)
}

// engine says once whether a Docker engine answers, and under which label this process's containers go.
var engine = sync.OnceValues(func() (label string, err error) {
	defer func() {
		if p := recover(); p != nil { // testcontainers' answer to some machines without Docker
			err = fmt.Errorf("no Docker engine answers: %v", p)
		}
	}()
	if err := prefer("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil { // our own reaper does its work
		return "", err
	}
	if _, err := net.InterfaceByName("docker0"); err == nil {
		// The engine's bridge is here, so published ports are on this machine, also where a /.dockerenv makes
		// testcontainers believe that it is inside a container.
		if err := prefer("TESTCONTAINERS_HOST_OVERRIDE", "localhost"); err != nil {
			return "", err
		}
	}
	tclog.SetDefault(tclog.NewNoopLogger()) // its chatter would drown what tests say; what goes wrong comes as an error
	docker, err := testcontainers.NewDockerClientWithOpts(context.Background())
	if err != nil {
		return "", fmt.Errorf("no Docker engine answers: %w", err)
	}
	defer docker.Close()
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	if _, err := docker.Ping(ctx, client.PingOptions{}); err != nil {
		return "", fmt.Errorf("no Docker engine answers: %w", err)
	}
	return strings.ToLower(rand.Text()), nil
})

// watched prepares for a container: there is an engine, and somebody will remove the container whatever happens to us.
func watched(s *set) (testcontainers.CustomizeRequestOption, error) {
	label, err := engine()
	if err != nil {
		return nil, err
	}
	if err := s.reaper.watch(reapContainers, label); err != nil {
		return nil, err
	}
	return testcontainers.WithLabels(map[string]string{containerLabel: label}), nil
}

func redisContainer(ctx context.Context, s *set, _ string) (*server, error) {
	labels, err := watched(s)
	if err != nil {
		return nil, err
	}
	options := []testcontainers.ContainerCustomizer{labels}
	if s.alone {
		options = append(options, redisWithDisk()...)
	}
	c, err := tcredis.Run(ctx, redisImage, options...)
	if err != nil {
		return nil, failed(ctx, c, err)
	}
	srv, err := containerServer(ctx, c, "6379/tcp", func(ctx context.Context, hostport string) error {
		client := redis.NewClient(&redis.Options{Addr: hostport})
		defer client.Close()
		return client.Ping(ctx).Err() // which, other than INFO, waits until it has read its disk
	})
	if err != nil {
		return nil, failed(ctx, c, err)
	}
	srv.version = func(ctx context.Context) (string, error) { return redisVersion(ctx, srv.hostport) }
	return srv, nil
}

// redisWithDisk gives Redis a file to keep its configuration in, so that CONFIG REWRITE makes what a test said about its
// disk hold for the next start. It passes the image's entrypoint, whose modules would be written there too, and then be
// loaded twice.
func redisWithDisk() []testcontainers.ContainerCustomizer {
	const file = "/data/redis.conf"
	return []testcontainers.ContainerCustomizer{
		testcontainers.WithFiles(testcontainers.ContainerFile{
			Reader: strings.NewReader(redisConf), ContainerFilePath: file, FileMode: 0o644,
		}),
		testcontainers.WithEntrypoint("redis-server", file),
		testcontainers.WithCmd(),
	}
}

const redisConf = `protected-mode no
enable-protected-configs yes
dir /data
save ""
`

func postgresContainer(ctx context.Context, s *set, _ string) (*server, error) {
	labels, err := watched(s)
	if err != nil {
		return nil, err
	}
	options := []testcontainers.ContainerCustomizer{
		labels, tcpostgres.BasicWaitStrategies(),
		tcpostgres.WithDatabase("firstcome"), tcpostgres.WithUsername("firstcome"), tcpostgres.WithPassword("firstcome"),
		testcontainers.WithCmd("postgres", "-c", "fsync=off", "-c", "max_connections=200", "-c", "max_wal_size=256MB"),
	}
	if !s.alone { // one that may be killed needs its data afterwards; in memory a test's database is there in a third of the time
		options = append(options, testcontainers.WithTmpfs(map[string]string{"/var/lib/postgresql/data": "rw"}))
	}
	c, err := tcpostgres.Run(ctx, postgresImage, options...)
	if err != nil {
		return nil, failed(ctx, c, err)
	}
	address, err := c.ConnectionString(ctx, "sslmode=disable")
	if err != nil {
		return nil, failed(ctx, c, err)
	}
	template, err := postgresServer(address)
	if err != nil {
		return nil, failed(ctx, c, err)
	}
	srv, err := containerServer(ctx, c, "5432/tcp", func(ctx context.Context, hostport string) error {
		_, err := postgresVersion(ctx, (&server{hostport: hostport, url: template.url}).address())
		return err
	})
	if err != nil {
		return nil, failed(ctx, c, err)
	}
	srv.url = template.url
	srv.version = func(ctx context.Context) (string, error) { return postgresVersion(ctx, srv.address()) }
	return srv, nil
}

// containerServer is what all containers have in common.
func containerServer(ctx context.Context, c testcontainers.Container, port string, answers func(context.Context, string) error) (*server, error) {
	hostport, err := c.PortEndpoint(ctx, port, "")
	if err != nil {
		return nil, err
	}
	return &server{
		hostport: hostport,
		stop: func(context.Context) error {
			return testcontainers.TerminateContainer(c, testcontainers.StopTimeout(0)) // nothing in it is worth waiting for
		},
		kill: func(ctx context.Context) error { return killContainer(ctx, c.GetContainerID()) },
		throttle: func(ctx context.Context, processors float64) error {
			return throttleContainer(ctx, c.GetContainerID(), processors)
		},
		restart: func(ctx context.Context) (string, error) {
			if err := c.Start(ctx); err != nil {
				return "", err
			}
			hostport, err := c.PortEndpoint(ctx, port, "") // the engine gives it another one
			if err != nil {
				return "", err
			}
			// The lines of the first start are still in its log, so waiting for them says nothing.
			if err := await(ctx, func(ctx context.Context) error { return answers(ctx, hostport) }); err != nil {
				return "", fmt.Errorf("%w%s", err, said(ctx, c))
			}
			return hostport, nil
		},
	}, nil
}

// await tries until it works; the last reason where it doesn't within two minutes.
func await(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// failed removes a container that didn't start as it should, and adds to the reason what it said.
func failed(ctx context.Context, c testcontainers.Container, reason error) error {
	reason = fmt.Errorf("%w%s", reason, said(ctx, c))
	return errors.Join(reason, testcontainers.TerminateContainer(c, testcontainers.StopTimeout(0)))
}

// said is the end of a container's log, for error messages.
func said(ctx context.Context, c testcontainers.Container) string {
	log, err := logs(context.WithoutCancel(ctx), c)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return "\n(where its ports are not to be reached at that address, TESTCONTAINERS_HOST_OVERRIDE names another) It said:\n" +
		strings.Join(lines[max(0, len(lines)-10):], "\n")
}

func logs(ctx context.Context, c testcontainers.Container) (_ string, err error) {
	defer func() {
		if recover() != nil { // a nil container inside the interface
			err = errors.New("no container")
		}
	}()
	r, err := c.Logs(ctx)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

func killContainer(ctx context.Context, id string) error {
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return err
	}
	defer docker.Close()
	_, err = docker.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "KILL"})
	return err
}

func throttleContainer(ctx context.Context, id string, processors float64) error {
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return err
	}
	defer docker.Close()
	_, err = docker.ContainerUpdate(ctx, id, client.ContainerUpdateOptions{Resources: &container.Resources{NanoCPUs: int64(processors * 1e9)}})
	return err
}

// removeContainers is for the reaper: it knows the label only. Networks of those containers go too.
func removeContainers(ctx context.Context, label string) error {
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return err
	}
	defer docker.Close()
	found, err := docker.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: client.Filters{}.Add("label", containerLabel+"="+label),
	})
	if err != nil {
		return err
	}
	var problems []error
	for _, c := range found.Items {
		_, err := docker.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{RemoveVolumes: true, Force: true})
		problems = append(problems, err)
	}
	networks, err := docker.NetworkList(ctx, client.NetworkListOptions{Filters: client.Filters{}.Add("label", containerLabel+"="+label)})
	problems = append(problems, err)
	for _, n := range networks.Items {
		_, err := docker.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
