package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/cli/internal/audit"
	"github.com/firstcome/firstcome/cli/internal/client"
	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/cli/internal/local"
)

func (a *app) local() *cobra.Command {
	var cfg local.Config
	var demo, ends, unseen bool
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Run all of Firstcome in this process, on embedded servers or on given ones",
		Long: `Run gateway, issuer and ledger in this process until it is stopped (^C, SIGTERM). What is not given by a flag is
embedded: Kafka and Redis inside the process, a real Postgres as a child.

All state is in the data folder. Kill it whenever you like and start it again: every coupon and every grant is still
there. The embedded Redis comes back empty each time, and the issuer rebuilds it.

Nobody has to show a token as long as only this machine can ask. On any other address ADMIN_TOKENS, CLAIM_TOKENS and
READ_TOKENS are required. Given servers take their TLS, passwords and prefixes from the environment, as the services do.`,
		Example: `  firstcome local
  firstcome local --demo                                    let 2,000 people ask for 100 coupons first
  firstcome local --gateway-addr 127.0.0.1:0 --ledger-addr 127.0.0.1:0 --gateway-admin-addr 127.0.0.1:0
  firstcome local --kafka kafka:9092 --redis redis:6379 --postgres postgres://firstcome:secret@db/firstcome`,
		Args: cobra.NoArgs,
	}
	localFlags(cmd, &cfg, "127.0.0.1:8080", "127.0.0.1:8082", "127.0.0.1:9080")
	cmd.Flags().BoolVar(&demo, "demo", false, "once it is up, let 2,000 people ask for 100 coupons")
	cmd.Flags().BoolVar(&ends, "until-input-ends", false, "end with the process at the other end of the standard input")
	cmd.Flags().BoolVar(&unseen, "postgres-from-environment", false, "take the URL from "+endpoint.DatabaseURL+", which is not seen by whoever lists processes")
	_ = cmd.Flags().MarkHidden("until-input-ends")
	_ = cmd.Flags().MarkHidden("postgres-from-environment")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg.DataDir = a.dataDir
		if unseen {
			cfg.Postgres = a.Getenv(endpoint.DatabaseURL)
		}
		ctx, end := context.WithCancel(cmd.Context())
		defer end()
		if ends {
			go func() {
				defer end()
				_, _ = io.Copy(io.Discard, os.Stdin)
			}()
		}
		return a.runLocal(ctx, cfg, demo)
	}
	return cmd
}

func localFlags(cmd *cobra.Command, cfg *local.Config, gateway, ledger, admin string) {
	cmd.Flags().StringVar(&cfg.GatewayAddr, "gateway-addr", gateway, "where the gateway listens; port 0 takes a free one")
	cmd.Flags().StringVar(&cfg.LedgerAddr, "ledger-addr", ledger, "where the ledger listens")
	cmd.Flags().StringVar(&cfg.AdminAddr, "gateway-admin-addr", admin, "where /livez, /readyz and /metrics of all three services are")
	cmd.Flags().StringVar(&cfg.Kafka, "kafka", "", "brokers to use instead of the embedded one, a comma list of host:port")
	cmd.Flags().StringVar(&cfg.Redis, "redis", "", "Redis to use instead of the embedded one, host:port")
	cmd.Flags().StringVar(&cfg.Postgres, "postgres", "", "URL of the database to use instead of the embedded one")
	cmd.Flags().IntVar(&cfg.Partitions, "partitions", 12, "of the topics, where they are not there yet")
}

func (a *app) runLocal(ctx context.Context, cfg local.Config, demo bool) (err error) {
	l, err := a.start(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if demo {
		if err := a.runDemo(ctx, l); err != nil && !errors.Is(err, errSaid) {
			return err
		}
		fmt.Fprintln(a.Out)
	}
	a.writeEndpoints(l)
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.Out, "stopping; all state stays")
		return nil
	case <-l.Ended():
		return l.Close()
	}
}

func (a *app) start(ctx context.Context, cfg local.Config) (*local.Local, error) {
	if cfg.Partitions < 1 || cfg.Partitions > maxPartitions {
		return nil, usagef("--partitions must be from 1 to %d", maxPartitions)
	}
	cfg.Getenv, cfg.Say = a.Getenv, func(what string) { fmt.Fprintln(a.Err, what) }
	return local.Start(ctx, cfg)
}

// writeEndpoints says where everything is, and what to paste.
func (a *app) writeEndpoints(l *local.Local) {
	fmt.Fprintf(a.Out, "Firstcome is up; these are in %s:\n\n", l.EndpointsFile())
	for _, name := range endpoint.Names() {
		if value := l.Endpoints[name]; value != "" {
			fmt.Fprintf(a.Out, "  %s=%s\n", name, value)
		}
	}
	gateway := l.Endpoints[endpoint.GatewayURL]
	fmt.Fprintf(a.Out, `
A coupon of three, and one person who asks for it:

  curl -s -X PUT %s/v1/coupons/tea%s -H 'Content-Type: application/json' -d '{"limit":3}'
  curl -s -X POST %s/v1/coupons/tea/claims%s -H 'Content-Type: application/json' -H 'Prefer: wait=5' -d '{"user_id":"ada"}'

^C stops it.
`, gateway, bearer(a.adminToken()), gateway, bearer(a.claimToken()))
}

func bearer(token string) string {
	if token == "" {
		return ""
	}
	return fmt.Sprintf(" -H 'Authorization: Bearer %s'", token)
}

// adminToken is what this process sends to its own gateway: the environment's, or the first it was told to accept.
func (a *app) adminToken() string { return firstOf(a.Getenv("ADMIN_TOKEN"), a.Getenv("ADMIN_TOKENS")) }
func (a *app) claimToken() string { return firstOf(a.Getenv("CLAIM_TOKEN"), a.Getenv("CLAIM_TOKENS")) }

func firstOf(token, accepted string) string {
	if token != "" {
		return token
	}
	first, _, _ := strings.Cut(accepted, ",")
	_, secret, _ := strings.Cut(strings.TrimSpace(first), "=")
	return secret
}

func (a *app) demo() *cobra.Command {
	var cfg local.Config
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run everything, let 2,000 people ask for 100 coupons, audit it, and end",
		Long: `Run everything on free ports, let 2,000 people ask for 100 coupons at once, print what they were told and what the
audit says, and end. The data go into a folder that ends with it, unless --data-dir names one.`,
		Example: "  firstcome demo", Args: cobra.NoArgs,
	}
	localFlags(cmd, &cfg, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		cfg.DataDir = a.dataDir
		if !cmd.Flags().Changed("data-dir") {
			if cfg.DataDir, err = demoFolder(); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, local.Remove(cfg.DataDir)) }()
		}
		l, err := a.start(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		return a.runDemo(cmd.Context(), l)
	}
	return cmd
}

// demoFolder can be entered by the account that runs Postgres where this one is root.
func demoFolder() (string, error) {
	dir, err := os.MkdirTemp("", "firstcome-demo-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711)
}

// The demo's sale.
const (
	demoLimit  = 100
	demoPeople = 2000
	demoAudit  = 30 * time.Second
)

func (a *app) runDemo(ctx context.Context, l *local.Local) error {
	gateway := &client.Gateway{
		URL: l.Endpoints[endpoint.GatewayURL], AdminToken: a.adminToken(), ClaimToken: a.claimToken(), HTTP: newHTTP(demoPeople, requestTimeout),
	}
	defer gateway.HTTP.CloseIdleConnections()
	f := crowdFlags{couponID: "demo-" + word(), define: true, limit: demoLimit, people: demoPeople, concurrency: demoPeople, wait: 5 * time.Second, giveUp: 3 * time.Minute, recheck: true}
	result, verdict, err := a.loadOnce(ctx, []*client.Gateway{gateway}, f)
	if err != nil {
		return err
	}
	report, err := a.auditAt(ctx, l.Endpoints, audit.Config{Answers: audit.KnownAnswers(result.Records), Timeout: demoAudit})
	if err != nil {
		return err
	}
	fmt.Fprintln(a.Out)
	report.Write(a.Out)
	if !verdict.OK() || !report.OK {
		return errSaid
	}
	return nil
}
