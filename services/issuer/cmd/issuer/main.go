// Command issuer decides who gets a coupon, from the requests log. Its settings are environment variables: issuer.Config
// names them.
package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/lifecycle"
	"github.com/firstcome/firstcome/services/issuer"
)

func main() { lifecycle.Main("issuer", run) }

func run(ctx context.Context, log *slog.Logger) error {
	var cfg issuer.Config
	if err := env.Load(&cfg); err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	service, err := issuer.New(cfg, log, reg)
	if err != nil {
		return err
	}
	admin, err := lifecycle.Listen(cfg.AdminAddr)
	if err != nil {
		return err
	}
	log.Info("listening", "admin", admin.Addr().String())
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return service.Run(ctx) })
	both.Go(func() error { return lifecycle.ServeAdmin(ctx, admin, reg, service.Ready) })
	return both.Wait()
}
