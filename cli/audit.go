package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/cli/internal/audit"
	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/cli/internal/endpoint"
)

func (a *app) audit() *cobra.Command {
	var answers []string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Decide every request once more by the pure rules, and compare log, journal, Redis and Postgres",
		Long: `Decide every request of the log once more by the pure rules, and compare what that leads to with the journal, Redis,
Postgres, the dead letters and, with --answers, what people were told. Each difference is one sentence that names the
coupon, the window, the sequence and the request; exit code 1 where there is any.

It waits until issuer and ledger have caught up with what is in the log when it begins, and may run while people ask.
Where the log's start is gone by retention, the journal stands in for what it led to.`,
		Example: `  firstcome audit
  firstcome audit --json
  firstcome audit --kafka kafka:9092 --redis redis:6379 --postgres postgres://reader:…@db/ledger
  firstcome load --record answers.ndjson && firstcome audit --answers answers.ndjson`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringArrayVar(&answers, "answers", nil, "file of what people were told, as 'firstcome load --record' wrote it; may be given several times")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long issuer and ledger may take to catch up")
	asJSON := jsonFlag(cmd)
	a.endpointFlags(cmd, endpoint.KafkaBrokers, endpoint.RedisAddr, endpoint.DatabaseURL)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		told, err := readAnswers(answers)
		if err != nil {
			return err
		}
		found, err := a.find(endpoint.KafkaBrokers, endpoint.RedisAddr, endpoint.DatabaseURL)
		if err != nil {
			return err
		}
		report, err := a.auditAt(cmd.Context(), found, told, timeout)
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

func readAnswers(paths []string) ([]crowd.Record, error) {
	var all []crowd.Record
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		told, err := audit.ReadAnswers(f)
		_ = f.Close() // it was only read
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, told...)
	}
	return all, nil
}

func (a *app) auditAt(ctx context.Context, found map[string]string, told []crowd.Record, timeout time.Duration) (audit.Report, error) {
	kafka, err := endpoint.Kafka(found, a.Getenv)
	if err != nil {
		return audit.Report{}, err
	}
	settings, err := endpoint.Redis(found, a.Getenv)
	if err != nil {
		return audit.Report{}, err
	}
	redis := endpoint.RedisClient(settings)
	defer redis.Close()
	database, err := pgxpool.New(ctx, found[endpoint.DatabaseURL])
	if err != nil {
		return audit.Report{}, fmt.Errorf("DATABASE_URL: %w", err)
	}
	defer database.Close()
	return audit.Run(ctx, audit.Config{Kafka: kafka, Redis: redis, RedisPrefix: settings.Prefix, Database: database, Answers: told, Timeout: timeout})
}
