// Command ledger writes the journal into Postgres and answers who got what. It is configured by the environment: see
// ledger.Config.
package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/lifecycle"
	"github.com/firstcome/firstcome/services/ledger"
)

func main() { lifecycle.Main("ledger", run) }

func run(ctx context.Context, log *slog.Logger) error {
	var cfg ledger.Config
	if err := env.Load(&cfg); err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	admin, err := lifecycle.Listen(cfg.AdminAddr)
	if err != nil {
		return err
	}
	service, err := ledger.New(cfg, log, reg)
	if err != nil {
		return errors.Join(err, admin.Close())
	}
	log.Info("listening", "public", service.Addr().String(), "admin", admin.Addr().String())
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		defer stop()
		served <- lifecycle.ServeAdmin(ctx, admin, reg, service.Ready)
	}()
	err = service.Run(ctx)
	stop()
	return errors.Join(err, <-served)
}
