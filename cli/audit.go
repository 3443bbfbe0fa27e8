package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/cli/internal/audit"
	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/pkg/event"
)

type auditFlags struct {
	answers []string
	coupons []string
	timeout time.Duration
}

func (a *app) audit() *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Decide every request once more by the pure rules, and compare log, journal, Redis and Postgres",
		Long: `Decide every request of the log once more by the pure rules, and compare what that leads to with the journal, Redis,
Postgres, the dead letters and, with --answers, what people were told. Each difference is one sentence that names the
coupon, the window, the sequence and the request; exit code 1 where there is any.

It may run while people ask: all that is in the log when it begins is compared, what comes later is left out, and what
issuer and ledger have not done yet is waited for. It only reads. It needs memory for who holds what in the largest
partition: about 350 MiB for a million people. Where the log's start is gone by retention, the journal stands in for what it
led to. With --coupon only that coupon's partition is read, and only what is about it is compared.`,
		Example: `  firstcome audit
  firstcome audit --json
  firstcome audit --coupon tea --coupon lunch
  firstcome audit --kafka kafka:9092 --redis redis:6379 --postgres postgres://reader:…@db/ledger
  firstcome load --record answers.ndjson && firstcome audit --answers answers.ndjson`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringArrayVar(&f.answers, "answers", nil, "file of what people were told, as 'firstcome load --record' wrote it; may be given several times")
	cmd.Flags().StringArrayVar(&f.coupons, "coupon", nil, "compare this coupon alone; may be given several times")
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "how long issuer or ledger may take, each time when they have to be waited for")
	asJSON := jsonFlag(cmd)
	a.endpointFlags(cmd, endpoint.KafkaBrokers, endpoint.RedisAddr, endpoint.DatabaseURL)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		report, err := a.auditOnce(cmd.Context(), f)
		if err != nil {
			return err
		}
		if *asJSON {
			err = writeJSON(a.Out, report)
		} else {
			report.Write(a.Out)
		}
		if err == nil && !report.OK {
			err = errSaid
		}
		return err
	}
	return cmd
}

func (a *app) auditOnce(ctx context.Context, f auditFlags) (audit.Report, error) {
	for _, id := range f.coupons {
		if err := event.CheckCouponID(id); err != nil {
			return audit.Report{}, usagef("--coupon %q: %w", id, err)
		}
	}
	cfg := audit.Config{Coupons: f.coupons, Timeout: f.timeout}
	if len(f.answers) > 0 {
		var err error
		if cfg.Answers, err = audit.OpenAnswers(f.answers); err != nil {
			return audit.Report{}, err
		}
	}
	found, err := a.find(endpoint.KafkaBrokers, endpoint.RedisAddr, endpoint.DatabaseURL)
	if err != nil {
		return audit.Report{}, err
	}
	return a.auditAt(ctx, found, cfg)
}

func (a *app) auditAt(ctx context.Context, found map[string]string, cfg audit.Config) (report audit.Report, err error) {
	if cfg.Kafka, err = endpoint.Kafka(found, a.Getenv); err != nil {
		return report, err
	}
	settings, err := endpoint.Redis(found, a.Getenv)
	if err != nil {
		return report, err
	}
	client := endpoint.RedisClient(settings)
	defer client.Close()
	cfg.Redis, cfg.RedisPrefix = client, settings.Prefix
	if cfg.Database, err = pgxpool.New(ctx, found[endpoint.DatabaseURL]); err != nil {
		return report, fmt.Errorf("DATABASE_URL: %w", err)
	}
	defer cfg.Database.Close()
	bar := a.bar(1, "reading", "records")
	defer func() { _ = bar.Finish() }()
	cfg.Watch = func(read, all int64) {
		bar.ChangeMax64(max(all, 1))
		_ = bar.Set64(read)
	}
	return audit.Run(ctx, cfg)
}
