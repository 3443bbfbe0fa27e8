package env

import (
	"fmt"
	"net"
	"strings"
)

// Redis says how Redis is reached. Services embed it; their stores turn it into the driver's options.
type Redis struct {
	Addr     []string `env:"REDIS_ADDR"`                     // host:port, a comma list for sentinel and cluster; required
	Mode     string   `env:"REDIS_MODE" envDefault:"single"` // single, sentinel (then Addr are the sentinels) or cluster
	Master   string   `env:"REDIS_MASTER"`                   // the master's name; required for sentinel
	Username string   `env:"REDIS_USERNAME"`                 // of an ACL user, "" = default user
	Password string   `env:"REDIS_PASSWORD"`                 // "" = none
	TLS      bool     `env:"REDIS_TLS"`                      // the server's name is checked against the system's authorities
	Prefix   string   `env:"REDIS_PREFIX" envDefault:"fc"`   // before every key; services with different ones do not see each other's coupons
}

// Problems gives everything that is wrong with r.
func (r Redis) Problems() []error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(r.Addr) == 0 {
		add("REDIS_ADDR is required")
	}
	for i, addr := range r.Addr {
		host, port, err := net.SplitHostPort(addr)
		if err != nil || host == "" || port == "" || strings.ContainsAny(addr, " \t\n@/") {
			add("REDIS_ADDR must be host:port, address %d is not", i+1)
		}
	}
	switch r.Mode {
	case "single":
		if len(r.Addr) > 1 {
			add("REDIS_ADDR must be one address where REDIS_MODE is single")
		}
	case "sentinel":
		if r.Master == "" {
			add("REDIS_MASTER is required where REDIS_MODE is sentinel")
		}
	case "cluster":
	default:
		add("REDIS_MODE must be single, sentinel or cluster")
	}
	if r.Prefix == "" || strings.ContainsAny(r.Prefix, "{}") {
		// A brace would take the place of the partition's hash tag.
		add("REDIS_PREFIX must be at least one character, none of them a brace")
	}
	return errs
}
