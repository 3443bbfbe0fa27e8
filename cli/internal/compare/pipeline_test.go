package compare

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/strategy"
)

// onFake is a stand whose pipeline is a script: it is ready at once, and ends with its input as the environment says.
func onFake(t *testing.T, ending string) (s *stand, starts func() int) {
	t.Helper()
	folder := t.TempDir()
	program := filepath.Join(folder, "firstcome")
	script := "#!/bin/sh\necho started >> " + folder + "/starts\necho GATEWAY_URL=http://127.0.0.1:1 > $4/new\nmv $4/new $4/endpoints.env\nwhile read line; do :; done\n" + ending + "\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s = &stand{
		place: &place{Place: Place{Folder: folder, Kafka: "kafka:1", Redis: "redis:1", Database: "postgres://db/own"}, program: program, getenv: func(string) string { return "" }},
		page:  strategy.Page{Name: "log"},
	}
	return s, func() int {
		text, err := os.ReadFile(filepath.Join(folder, "starts"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "started")
	}
}

// A pipeline that does not end in order is an error of the step.
func TestStand_PipelineBroke(t *testing.T) {
	for ending, want := range map[string]string{"exit 0": "", "echo out of luck >&2; exit 3": "the pipeline ended with exit status 3\nout of luck"} {
		s, _ := onFake(t, ending)
		got := strings.Join(try(t.Context(), s.open), "; ")
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", ending, got, want)
		}
	}
}

// Whoever interrupts while the pipeline is killed and started again leaves none running, and starts no other.
func TestStand_InterruptedWhileKilling(t *testing.T) {
	s, starts := onFake(t, "")
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan struct{})
	got := try(ctx, func(t *trial) {
		t.Cleanup(func() { close(ended) })
		s.open(t)
		s.kill(t)
		interrupt()
		<-ended
		s.kill(t)
	})
	if want := "context canceled"; strings.Join(got, "; ") != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	if n := starts(); n != 2 {
		t.Errorf("it was started %d times", n)
	}
	select {
	case <-s.pipeline.done:
	default:
		t.Error("it goes on")
	}
}

// A pipeline that cannot be started again can be stopped.
func TestPipeline_NotStartedAgain(t *testing.T) {
	s, _ := onFake(t, "")
	l, err := startPipeline(t.Context(), s.place, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.place.program); err != nil {
		t.Fatal(err)
	}
	if err := l.restart(t.Context()); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without its program it starts again: %v", err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- l.stop() }()
	select {
	case err := <-stopped:
		if err == nil || !strings.Contains(err.Error(), "signal: killed") {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(patience):
		t.Error("it does not stop")
	}
}

// However many servers there are, Postgres has connections for all.
func TestPooled(t *testing.T) {
	for servers, want := range map[int]string{1: "16", 4: "16", 10: "6", 64: "1"} {
		if got := pooled("postgres://db/own?pool_max_conns=500&sslmode=disable", servers); got != "postgres://db/own?pool_max_conns="+want+"&sslmode=disable" {
			t.Errorf("%d servers: %s", servers, got)
		}
	}
}
