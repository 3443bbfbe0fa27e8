// Package downstream tests the programs of its folders as they are started: as processes, configured by their environment,
// beside the whole of Firstcome.
package downstream

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

// patience bounds every wait; nothing waits that long unless something is broken.
const patience = 60 * time.Second

// bin is the folder of the built programs.
var bin string

func TestMain(m *testing.M) { coupontest.Main(built{m}) }

// built builds the programs before the tests run, and removes them afterwards.
type built struct{ m coupontest.M }

func (b built) Run() int {
	dir, err := os.MkdirTemp("", "downstream-")
	if err == nil {
		bin = dir
		defer os.RemoveAll(dir)
		err = errors.Join(build(".", "./email", "./exactlyonce", "./webhook"), buildFirstcome())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return b.m.Run()
}

// buildFirstcome is for those who have the repository; others name the command in FIRSTCOME_BIN, or have it on PATH.
func buildFirstcome() error {
	if _, err := os.Stat("../../cli"); err != nil || os.Getenv("FIRSTCOME_BIN") != "" {
		return nil
	}
	if err := build("../../cli", "./cmd/firstcome"); err != nil {
		return err
	}
	return os.Setenv("FIRSTCOME_BIN", filepath.Join(bin, "firstcome"))
}

func build(module string, programs ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-o", bin + string(filepath.Separator)}, programs...)...)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %v: %w\n%s", programs, err, out)
	}
	return nil
}

// process is one of the programs while it runs.
type process struct {
	name string
	cmd  *exec.Cmd
	out  lockedBuffer
	done chan struct{} // closed when it has ended
}

// start starts a program; it is killed at the end of the test at the latest.
func start(t testing.TB, name string, env []string, args ...string) *process {
	t.Helper()
	p := &process{name: name, cmd: exec.Command(filepath.Join(bin, name), args...), done: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, p.out.String())
		}
	})
	return p
}

// kill ends the program as kill -9 does, and returns once it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop asks the program to end, and fails unless it does, without an error.
func (p *process) stop(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	if code := p.ends(t); code != 0 {
		t.Errorf("%s exits with %d", p.name, code)
	}
}

// ends returns the exit code once the program has ended.
func (p *process) ends(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%s does not end", p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}

// says waits until the program has logged a line like that.
func (p *process) says(t testing.TB, pattern string) {
	t.Helper()
	line := regexp.MustCompile(pattern)
	eventually(t, func() bool { return line.MatchString(p.out.String()) }, func() string { return p.name + " does not say: " + pattern })
}

// eventually waits for a condition that nobody signals.
func eventually(t testing.TB, holds func() bool, otherwise func() string) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(otherwise())
		}
	}
}

// lockedBuffer is written by a process and read by the test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
