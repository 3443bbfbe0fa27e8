package local

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/token"
	"github.com/firstcome/firstcome/services/gateway"
	"github.com/firstcome/firstcome/services/issuer"
	"github.com/firstcome/firstcome/services/ledger"
)

// tokens are who may do what. Nobody has to show one where only this machine can ask.
type tokens struct {
	admin, claim, read token.Set
}

func readTokens(cfg Config, d doors) (tokens, error) {
	var t tokens
	var errs []error
	for _, want := range []struct {
		name string
		set  *token.Set
		door door
		flag string
	}{
		{"ADMIN_TOKENS", &t.admin, d.gateway, "--gateway-addr"},
		{"CLAIM_TOKENS", &t.claim, d.gateway, "--gateway-addr"},
		{"READ_TOKENS", &t.read, d.ledger, "--ledger-addr"},
	} {
		list := cfg.Getenv(want.name)
		if list == "" {
			if !want.door.loopback() {
				errs = append(errs, fmt.Errorf("%s is required, a comma list of name=secret, since other machines can reach %s %s", want.name, want.flag, want.door.Addr()))
			}
			continue
		}
		if err := want.set.UnmarshalText([]byte(list)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", want.name, err))
		}
	}
	return t, errors.Join(errs...)
}

func newServices(cfg Config, l *Local, d doors, reg *prometheus.Registry) (map[string]service, error) {
	t, err := readTokens(cfg, d)
	if err != nil {
		return nil, err
	}
	keys, err := l.folder.claimIDKeys()
	if err != nil {
		return nil, fmt.Errorf("keeping the claim-id key: %w", err)
	}
	s := l.servers
	i, err := issuer.New(issuer.Config{Config: s.Kafka, Redis: s.Redis}, cfg.Log.With("service", "issuer"), reg)
	if err != nil {
		return nil, err
	}
	led, err := ledger.New(ledger.Config{
		Config: s.Kafka, DatabaseURL: s.Database, Listener: d.ledger, ReadTokens: t.read, AllowAnonymous: t.read.Empty(),
	}, cfg.Log.With("service", "ledger"), reg)
	if err != nil {
		return nil, err
	}
	g, err := gateway.New(gateway.Config{
		Config: s.Kafka, Redis: s.Redis, Listener: d.gateway, ClaimIDKeys: keys,
		AdminTokens: t.admin, ClaimTokens: t.claim, AllowAnonymous: d.gateway.loopback(),
		LedgerURL: d.ledger.url(), LedgerToken: firstSecret(cfg.Getenv("READ_TOKENS")),
	}, cfg.Log.With("service", "gateway"), reg)
	if err != nil {
		return nil, err
	}
	return map[string]service{"issuer": i, "ledger": led, "gateway": g}, nil
}

// firstSecret is what this process itself shows, of a comma list of name=secret.
func firstSecret(list string) string {
	for item := range strings.SplitSeq(list, ",") {
		if _, secret, ok := strings.Cut(strings.TrimSpace(item), "="); ok {
			return secret
		}
	}
	return ""
}

// maxLog is the size from which a log begins a new file.
const maxLog = 16 << 20

// rotate opens a log for appending, having put a large one aside.
func rotate(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// sentence joins at most three things.
func sentence(waits []string) string {
	if len(waits) > 3 {
		return strings.Join(waits[:3], ", ") + fmt.Sprintf(" and %d more", len(waits)-3)
	}
	return strings.Join(waits, " and ")
}
