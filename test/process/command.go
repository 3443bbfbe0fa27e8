package process

import (
	"context"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Firstcome runs the command to its end.
func Firstcome(t testing.TB, env []string, args ...string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "firstcome"), args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Errorf("firstcome %s: %v", strings.Join(args, " "), err)
		return "", -1
	}
	return string(out), cmd.ProcessState.ExitCode()
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
	Answers string // file of what each person was told
	Output  string // once Done is closed
	Code    int    // exit code, likewise
	Done    chan struct{}
}

// StartLoad runs `firstcome load`; its record goes into a file of the test.
func StartLoad(t testing.TB, env []string, args ...string) *Load {
	t.Helper()
	l := &Load{Answers: filepath.Join(t.TempDir(), "answers.ndjson"), Done: make(chan struct{})}
	args = append([]string{"load", "--record", l.Answers}, args...)
	go func() {
		defer close(l.Done)
		l.Output, l.Code = Firstcome(t, env, args...)
	}()
	return l
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
