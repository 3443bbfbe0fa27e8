package env

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// config has what the services' configurations have.
type config struct {
	Redis
	Kafka
	ListenAddr string        `env:"LISTEN_ADDR" envDefault:":8080"`
	Ports      []int         `env:"PORTS"`
	Wait       time.Duration `env:"WAIT" envDefault:"5s"`
	Ratio      float64       `env:"RATIO"`
	Shards     uint8         `env:"SHARDS"`
	Keys       secret        `env:"KEYS"`
	MustHave   string        `env:"MUST_HAVE,required"`
	CA         string        `env:"CA_FILE,file"`
	Listener   any           `env:"-"`
	Level      slog.Level    `env:"LEVEL"`
	SameRatio  float32       `env:"RATIO"`
}

// Kafka, as pkg/broker has it: embedded, with a Validate of its own that joins its errors.
type Kafka struct {
	Brokers []string `env:"KAFKA_BROKERS,required"`
	TLS     bool     `env:"KAFKA_TLS"`
}

func (k Kafka) problems() []error {
	if len(k.Brokers) == 0 {
		return []error{errors.New("KAFKA_BROKERS is required")}
	}
	return nil
}

func (k Kafka) Validate() error { return errors.Join(k.problems()...) }

// secret reads itself, and is clumsy enough to quote what it was given.
type secret struct{ text string }

func (s *secret) UnmarshalText(b []byte) error {
	if s.text = string(b); !strings.HasPrefix(s.text, "key-") {
		return fmt.Errorf("%q is no key\n(%s)", b, b)
	}
	return nil
}

func (c config) Validate() []error {
	errs := slices.Concat(c.Redis.Problems(), c.problems())
	if c.Wait < time.Second {
		errs = append(errs, errors.New("WAIT must be at least 1s"))
	}
	if c.MustHave == "" {
		errs = append(errs, errors.New("MUST_HAVE must not be empty"))
	}
	return errs
}

func good() map[string]string {
	return map[string]string{
		"REDIS_ADDR": "redis:6379", "KAFKA_BROKERS": "a:9092,b:9092", "MUST_HAVE": "it", "KEYS": "key-1", "PORTS": "1,2", "RATIO": "0.5",
	}
}

func TestLoad(t *testing.T) {
	var c config
	if err := load(&c, good()); err != nil {
		t.Fatal(err)
	}
	if c.ListenAddr != ":8080" || c.Wait != 5*time.Second || !slices.Equal(c.Ports, []int{1, 2}) || c.Keys.text != "key-1" ||
		c.Mode != "single" || c.Prefix != "fc" || !slices.Equal(c.Brokers, []string{"a:9092", "b:9092"}) || c.TLS() {
		t.Errorf("%+v", c)
	}
}

func (c config) TLS() bool { return c.Redis.TLS || c.Kafka.TLS }

func TestLoad_environment(t *testing.T) {
	for name, value := range good() {
		t.Setenv(name, value)
	}
	t.Setenv("LISTEN_ADDR", "127.0.0.1:0")
	var c config
	if err := Load(&c); err != nil || c.ListenAddr != "127.0.0.1:0" {
		t.Errorf("%+v %v", c, err)
	}
}

func TestLoad_problems(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change map[string]string
		want   []string
	}{
		{"a missing one", map[string]string{"MUST_HAVE": ""}, []string{"MUST_HAVE is required"}},
		{"a missing one, told once", map[string]string{"KAFKA_BROKERS": ""}, []string{"KAFKA_BROKERS is required"}},
		{"nothing set means the default", map[string]string{"LISTEN_ADDR": "", "WAIT": "", "REDIS_PREFIX": ""}, nil},
		{"a duration", map[string]string{"WAIT": "hush"}, []string{"WAIT must be a duration such as 1m30s"}},
		{"a valid duration that the service refuses", map[string]string{"WAIT": "1ms"}, []string{"WAIT must be at least 1s"}},
		{"a flag", map[string]string{"KAFKA_TLS": "hush"}, []string{"KAFKA_TLS must be true or false"}},
		{"two fields of one name", map[string]string{"REDIS_TLS": "hush"}, []string{"REDIS_TLS must be true or false"}},
		{"a list", map[string]string{"PORTS": "1,hush"}, []string{"PORTS must be a comma list, each a whole number of at most 64 bits"}},
		{"a number", map[string]string{"SHARDS": "300"}, []string{"SHARDS must be a whole number of at most 8 bits, not negative"}},
		{"a fraction", map[string]string{"RATIO": "hush"}, []string{"RATIO must be a number"}},
		{"a level", map[string]string{"LEVEL": "hush"}, []string{`LEVEL is malformed: slog: level string "…": unknown name`}},
		{"a secret", map[string]string{"KEYS": "hush"}, []string{`KEYS is malformed: "…" is no key, (…)`}},
		{"a secret with a quote", map[string]string{"KEYS": `hu"sh`}, []string{`KEYS is malformed: "…" is no key, (…)`}},
		{"a file", map[string]string{"CA_FILE": filepath.Join(os.TempDir(), "no-such-file-hush")}, []string{"CA_FILE names a file that cannot be read"}},
		{"everything at once", map[string]string{"MUST_HAVE": "", "KAFKA_BROKERS": "", "WAIT": "hush", "RATIO": "hush", "KEYS": "hush", "REDIS_ADDR": "", "REDIS_MODE": "many"},
			[]string{
				"KAFKA_BROKERS is required", "MUST_HAVE is required", "WAIT must be a duration such as 1m30s", "RATIO must be a number",
				`KEYS is malformed: "…" is no key, (…)`, "REDIS_ADDR is required", "REDIS_MODE must be single, sentinel or cluster",
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			environment := good()
			for name, value := range tt.change {
				environment[name] = value
			}
			var c config
			err := load(&c, environment)
			var e *Error
			switch {
			case len(tt.want) == 0:
				if err != nil {
					t.Error(err)
				}
				return
			case !errors.As(err, &e):
				t.Fatalf("%v", err)
			}
			if !slices.Equal(e.Problems, tt.want) {
				t.Errorf("%q\nwant %q", e.Problems, tt.want)
			}
			if strings.Contains(err.Error(), "hu") {
				t.Errorf("%v tells a value", err)
			}
			if !strings.HasPrefix(err.Error(), "configuration: ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q", err)
			}
		})
	}
}

// Where a service has no checks of its own, those that it embeds count one by one.
func TestLoad_joined(t *testing.T) {
	var c struct {
		joined
		Wait time.Duration `env:"WAIT"`
	}
	err := load(&c, map[string]string{})
	if err == nil || err.Error() != "configuration: A is wrong; B is wrong; C is wrong" {
		t.Error(err)
	}
}

type joined struct{}

func (joined) Validate() error {
	return errors.Join(errors.New("A is wrong"), errors.Join(errors.New("B is wrong"), errors.New("C is wrong")))
}

// A mistake in the code is not the operator's.
func TestLoad_mistakes(t *testing.T) {
	var badDefault struct {
		Wait time.Duration `env:"WAIT" envDefault:"soon"`
	}
	var badTag struct {
		Wait time.Duration `env:"WAIT,sometimes"`
	}
	for name, cfg := range map[string]any{"default": &badDefault, "tag": &badTag, "no pointer": badTag, "no struct": new(int)} {
		var e *Error
		if err := load(cfg, map[string]string{}); err == nil || errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRedis_Problems(t *testing.T) {
	ok := Redis{Addr: []string{"redis:6379"}, Mode: "single", Prefix: "fc"}
	for _, tt := range []struct {
		name   string
		change func(*Redis)
		want   []string
	}{
		{"single", func(*Redis) {}, nil},
		{"an IPv6 address", func(r *Redis) { r.Addr = []string{"[::1]:6379"} }, nil},
		{"sentinel", func(r *Redis) { r.Mode, r.Master, r.Addr = "sentinel", "main", []string{"a:26379", "b:26379"} }, nil},
		{"cluster", func(r *Redis) { r.Mode, r.Addr = "cluster", []string{"a:6379", "b:6379"} }, nil},
		{"no address", func(r *Redis) { r.Addr = nil }, []string{"REDIS_ADDR is required"}},
		{"no port", func(r *Redis) { r.Addr = []string{"redis"} }, []string{"REDIS_ADDR must be host:port, address 1 is not"}},
		{"no host", func(r *Redis) { r.Addr = []string{":6379"} }, []string{"REDIS_ADDR must be host:port, address 1 is not"}},
		{"a URL", func(r *Redis) { r.Addr = []string{"redis://:hush@redis:6379"} }, []string{"REDIS_ADDR must be host:port, address 1 is not"}},
		{"a space after the comma", func(r *Redis) { r.Mode, r.Addr = "cluster", []string{"a:1", " b:1"} }, []string{"REDIS_ADDR must be host:port, address 2 is not"}},
		{"two single ones", func(r *Redis) { r.Addr = []string{"a:1", "b:1"} }, []string{"REDIS_ADDR must be one address where REDIS_MODE is single"}},
		{"sentinel without a master", func(r *Redis) { r.Mode = "sentinel" }, []string{"REDIS_MASTER is required where REDIS_MODE is sentinel"}},
		{"another mode", func(r *Redis) { r.Mode = "Cluster" }, []string{"REDIS_MODE must be single, sentinel or cluster"}},
		{"no prefix", func(r *Redis) { r.Prefix = "" }, []string{"REDIS_PREFIX must be at least one character, none of them a brace"}},
		{"a hash tag as prefix", func(r *Redis) { r.Prefix = "{fc}" }, []string{"REDIS_PREFIX must be at least one character, none of them a brace"}},
	} {
		r := ok
		tt.change(&r)
		var got []string
		for _, err := range r.Problems() {
			got = append(got, err.Error())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
