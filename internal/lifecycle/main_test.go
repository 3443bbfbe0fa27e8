package lifecycle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStatus(t *testing.T) {
	signalled := func(sig os.Signal) func(context.Context, *slog.Logger) error {
		return func(ctx context.Context, _ *slog.Logger) error {
			self, err := os.FindProcess(os.Getpid())
			if err != nil {
				return err
			}
			if err := self.Signal(sig); err != nil {
				return err
			}
			<-ctx.Done()
			return fmt.Errorf("waiting: %w", ctx.Err())
		}
	}
	for _, tt := range []struct {
		name   string
		run    func(context.Context, *slog.Logger) error
		want   int
		logged string // the error, "": none
	}{
		{"ends by itself", func(context.Context, *slog.Logger) error { return nil }, 0, ""},
		{"fails", func(context.Context, *slog.Logger) error { return errors.New("no port") }, 1, "no port"},
		{"cancelled by itself, not by a signal", func(context.Context, *slog.Logger) error { return context.Canceled }, 1, "context canceled"},
		{"SIGTERM", signalled(syscall.SIGTERM), 0, ""},
		{"SIGINT", signalled(os.Interrupt), 0, ""},
		{"fails after a signal", func(ctx context.Context, log *slog.Logger) error {
			_ = signalled(syscall.SIGTERM)(ctx, log)
			return errors.New("requests cut off")
		}, 1, "requests cut off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if got := status("gateway", &out, tt.run); got != tt.want {
				t.Errorf("exit %d, want %d", got, tt.want)
			}
			if tt.logged == "" {
				if out.Len() > 0 {
					t.Errorf("logged %s", &out)
				}
				return
			}
			var line map[string]any
			if err := json.Unmarshal(out.Bytes(), &line); err != nil {
				t.Fatalf("%s: %v", &out, err)
			}
			if line["error"] != tt.logged || line["service"] != "gateway" || strings.Count(out.String(), tt.logged) != 1 {
				t.Errorf("logged %s", &out)
			}
		})
	}
}
