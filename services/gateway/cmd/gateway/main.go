// Command gateway takes claims over HTTP and answers what the log decided. Its settings are environment variables:
// gateway.Config names them.
package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/lifecycle"
	"github.com/firstcome/firstcome/services/gateway"
)

func main() { lifecycle.Main("gateway", run) }

func run(ctx context.Context, log *slog.Logger) error {
	var cfg gateway.Config
	if err := env.Load(&cfg); err != nil {
		return err
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(cfg.MemoryLimit())
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	service, err := gateway.New(cfg, log, reg)
	if err != nil {
		return err
	}
	admin, err := lifecycle.Listen(cfg.AdminAddr)
	if err != nil {
		return err
	}
	log.Info("listening", "public", service.Addr().String(), "admin", admin.Addr().String())
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return service.Run(ctx) })
	both.Go(func() error { return lifecycle.ServeAdmin(ctx, admin, reg, service.Ready) })
	return both.Wait()
}
