package process

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Firstcome runs the command to its end.
func Firstcome(t testing.TB, env []string, args ...string) (output string, code int) {
	t.Helper()
	var out bytes.Buffer
	code = run(t, env, &out, args)
	return out.String(), code
}

func run(t testing.TB, env []string, out io.Writer, args []string) (code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "firstcome"), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Errorf("firstcome %s: %v", strings.Join(args, " "), err)
		return -1
	}
	return cmd.ProcessState.ExitCode()
}

// Must runs the command and wants it to succeed.
func Must(t testing.TB, env []string, args ...string) string {
	t.Helper()
	out, code := Firstcome(t, env, args...)
	if code != 0 {
		t.Fatalf("firstcome %s exits with %d:\n%s", strings.Join(args, " "), code, Tail(out, 4000))
	}
	return out
}

// CreateTopics makes the topics as an operator does.
func CreateTopics(t testing.TB, env []string, partitions int) {
	t.Helper()
	Must(t, env, "topics", "create", "--partitions", strconv.Itoa(partitions))
}

// Load is a crowd that asks for one coupon while something else happens.
type Load struct {
	Answers string        // file of what each person was told
	Began   chan struct{} // closed once people ask, or nobody will
	Done    chan struct{}
	Output  string // once Done is closed
	Code    int    // exit code, likewise
}

// StartLoad runs `firstcome load`; its record goes into a file of the test.
func StartLoad(t testing.TB, env []string, args ...string) *Load {
	t.Helper()
	l := &Load{Answers: filepath.Join(t.TempDir(), "answers.ndjson"), Began: make(chan struct{}), Done: make(chan struct{})}
	args = append([]string{"load", "--record", l.Answers}, args...)
	t.Cleanup(func() { <-l.Done }) // before the folder of its record goes
	go func() {
		defer close(l.Done)
		out := beginning{began: l.Began}
		l.Code = run(t, env, &out, args)
		l.Output = out.text.String()
		out.told.Do(func() { close(l.Began) })
	}()
	return l
}

// beginning is an output whose first line, which a load writes before people ask, is waited for.
type beginning struct {
	text  bytes.Buffer // not embedded: its ReadFrom would pass Write by
	told  sync.Once
	began chan struct{}
}

func (b *beginning) Write(text []byte) (int, error) {
	b.told.Do(func() { close(b.began) })
	return b.text.Write(text)
}

// Audit recomputes everything, and compares it with what the people of the loads were told.
func Audit(t testing.TB, env []string, loads ...*Load) {
	t.Helper()
	args := []string{"audit"}
	for _, l := range loads {
		args = append(args, "--answers", l.Answers)
	}
	out, code := Firstcome(t, env, args...)
	t.Log(out)
	if code != 0 {
		t.Errorf("audit exits with %d", code)
	}
}
