package consumer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestTenure_stoodStill(t *testing.T) {
	began := time.Now()
	ten := &tenure{session: 6 * time.Second, seen: began}
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{500 * time.Millisecond, false}, {6 * time.Second, false}, {12 * time.Second, false}, {18*time.Second + 1, true}, {19 * time.Second, true}} {
		if got := ten.stoodStill(began.Add(c.after)); got != c.want {
			t.Errorf("after %v: %v", c.after, got)
		}
	}
}

// A process that wakes steps down by its own clock, with one line, whoever else finds out.
func TestTenure_watch(t *testing.T) {
	var log bytes.Buffer
	ten := &tenure{log: slog.New(slog.NewTextHandler(&log, nil)), session: 6 * time.Second, seen: time.Now().Add(-30 * time.Second)}
	ten.watch(context.Background(), time.Millisecond)
	ten.stepDown(errors.New("the group says so too"))
	if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "stood still for 30s, and the group waits for 6s") {
		t.Errorf("it says %q", said)
	}
}
