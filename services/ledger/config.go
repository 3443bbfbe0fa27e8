package ledger

import (
	"errors"
	"fmt"
	"net"

	"github.com/firstcome/firstcome/internal/token"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

// Config is everything that a ledger can be told. Kafka's part is broker.Config.
type Config struct {
	broker.Config

	// DatabaseURL is the Postgres to write to, as a postgres:// URL or a libpq connection string; required. It must be a
	// database of its own, in UTF8, and a role that may create tables there. A ledger opens up to 17 connections (more by
	// pool_max_conns). Between it and Postgres may be a pooler in session mode only: the ledger keeps prepared statements
	// and time-outs with its sessions. The journal of another TopicPrefix does not belong into the same database.
	DatabaseURL string `env:"DATABASE_URL,required"`

	// ListenAddr is the public address, AdminAddr that of /metrics, /livez and /readyz, which must not be public.
	ListenAddr string `env:"LISTEN_ADDR" envDefault:":8082"`
	AdminAddr  string `env:"ADMIN_ADDR" envDefault:":9082"`

	// CertFile and KeyFile are PEM files; with both, ListenAddr speaks TLS. Read again when they change.
	CertFile string `env:"TLS_CERT"`
	KeyFile  string `env:"TLS_KEY"`

	// ReadTokens are who may ask, a comma list of name=secret, several at once to rotate; required.
	ReadTokens token.Set `env:"READ_TOKENS"`

	// Listener is used instead of ListenAddr where it is set.
	Listener net.Listener `env:"-"`
	// AllowAnonymous answers without a token: for local mode, on loopback only.
	AllowAnonymous bool `env:"-"`
}

// Validate gives everything that is wrong, each problem beginning with its variable.
func (c Config) Validate() []error {
	problems := c.Config.Problems()
	if c.DatabaseURL == "" {
		problems = append(problems, errors.New("DATABASE_URL is required"))
	} else if err := postgres.CheckURL(c.DatabaseURL); err != nil {
		problems = append(problems, fmt.Errorf("DATABASE_URL %w", err))
	}
	if c.ReadTokens.Empty() && !c.AllowAnonymous {
		problems = append(problems, errors.New("READ_TOKENS is required"))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		problems = append(problems, errors.New("TLS_CERT and TLS_KEY: both or none"))
	}
	return problems
}

// checkAnonymous keeps open doors inside.
func (c Config) checkAnonymous(ln net.Listener) error {
	addr, ok := ln.Addr().(*net.TCPAddr)
	if c.AllowAnonymous && (!ok || !addr.IP.IsLoopback()) {
		return fmt.Errorf("answering without tokens is for loopback only, not for %s", ln.Addr())
	}
	return nil
}
