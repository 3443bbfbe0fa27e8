// Package lifecycle starts and stops a service's process: signals, listeners, draining, health.
package lifecycle

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/firstcome/firstcome/internal/telemetry"
)

// Main runs a service until it ends by itself or SIGINT or SIGTERM ends its context, and exits: 0 after a clean stop, 1
// after an error, which is logged once. A second signal ends the process at once.
func Main(name string, run func(ctx context.Context, log *slog.Logger) error) {
	os.Exit(status(name, os.Stderr, run))
}

func status(name string, w io.Writer, run func(ctx context.Context, log *slog.Logger) error) int {
	log := telemetry.NewLogger(w, slog.LevelInfo).With("service", name)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from then on a signal has its usual effect
	err := run(ctx, log)
	if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return 0
	}
	log.Error("stopped", "error", err.Error())
	return 1
}
