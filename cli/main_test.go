package cli

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/coupontest/embedded"
)

// firstcome is the command as it is shipped.
var firstcome string

func TestMain(m *testing.M) { coupontest.Main(built{m}) }

// built makes the command before the tests and removes it after them.
type built struct{ m *testing.M }

func (b built) Run() int {
	dir, err := os.MkdirTemp("", "firstcome-cli-")
	if err == nil {
		defer os.RemoveAll(dir)
		firstcome = filepath.Join(dir, "firstcome")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", firstcome, "./cmd/firstcome").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "building firstcome:", err)
		return 1
	}
	return b.m.Run()
}

// patience bounds what a test waits for anything.
const patience = 2 * time.Minute

// process is a running `firstcome local`.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	up   chan struct{} // closed when it says that it is up
	done chan struct{} // closed when it has ended
	mu   sync.Mutex
	text strings.Builder
}

// startLocal returns when it is up. Ports are free ones, unless args name others.
func startLocal(t testing.TB, dataDir string, env []string, args ...string) *process {
	t.Helper()
	p := launch(t, dataDir, env, args...)
	t.Cleanup(func() { p.end(dataDir) })
	select {
	case <-p.up:
	case <-p.done:
		t.Fatalf("firstcome local ended: %s", p.output())
	case <-time.After(patience):
		t.Fatalf("firstcome local is not up: %s", p.output())
	}
	return p
}

func launch(t testing.TB, dataDir string, env []string, args ...string) *process {
	t.Helper()
	all := append([]string{"local", "--data-dir", dataDir, "--gateway-addr", "127.0.0.1:0", "--ledger-addr", "127.0.0.1:0", "--gateway-admin-addr", "127.0.0.1:0"}, args...)
	p := &process{t: t, cmd: exec.Command(firstcome, all...), up: make(chan struct{}), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = p
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.follow(bufio.NewScanner(out))
	t.Cleanup(p.kill)
	return p
}

// follow reads what it says until it ends.
func (p *process) follow(lines *bufio.Scanner) {
	defer close(p.done)
	said := false
	for lines.Scan() {
		fmt.Fprintln(p, lines.Text())
		if strings.HasPrefix(lines.Text(), "^C stops it") && !said {
			said = true
			close(p.up)
		}
	}
	_ = p.cmd.Wait() // its exit code is asked for by those who care
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// kill gives it no chance to do anything.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // or it has ended already
	<-p.done
}

// stop asks it to end, and gives its exit code.
func (p *process) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.t.Fatalf("firstcome local does not stop: %s", p.output())
	}
	return p.cmd.ProcessState.ExitCode()
}

// end leaves nothing running, whatever the test did: the Postgres of a killed run is an orphan.
func (p *process) end(dataDir string) {
	p.kill()
	if err := embedded.RemovePostgres(filepath.Join(dataDir, "postgres")); err != nil {
		p.t.Error(err)
	}
	if p.t.Failed() {
		log, _ := os.ReadFile(filepath.Join(dataDir, "local.log"))
		p.t.Logf("firstcome local said:\n%s\nand logged:\n%s", p.output(), tail(string(log), 4000))
	}
}

func tail(text string, most int) string { return text[max(0, len(text)-most):] }

// eventually asks again and again until it is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); ; {
		select {
		case <-tick.C:
			if so() {
				return
			}
		case <-end:
			t.Fatalf("in %s it did not come to pass that %s", patience, what)
		}
	}
}
