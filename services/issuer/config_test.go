package issuer_test

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/services/issuer"
)

// Everything that is wrong is told at once, by its variable.
func TestConfig(t *testing.T) {
	cfg := issuer.Config{MaxBatch: -1, MaxWaiting: -1}
	text := errors.Join(cfg.Validate()...).Error()
	for _, name := range []string{"KAFKA_BROKERS", "REDIS_ADDR", "MAX_BATCH", "MAX_WAITING"} {
		if !strings.Contains(text, name) {
			t.Errorf("%s is not named in\n%s", name, text)
		}
	}
	if _, err := issuer.New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry()); err == nil {
		t.Error("made all the same")
	}
}
