package process

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

// Secrets of the test's processes.
const (
	AdminSecret = "admin-secret"
	ClaimSecret = "claim-secret"
	ReadSecret  = "read-secret"
	ClaimIDKey  = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" // number 1
)

// Environment is what all processes of a test get: the servers, and a port of their own that nobody has chosen.
func Environment(s *coupontest.Servers) []string {
	return append(s.Env(),
		"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0",
		"ADMIN_TOKENS=ops="+AdminSecret, "CLAIM_TOKENS=shop="+ClaimSecret, "READ_TOKENS=crm="+ReadSecret,
		"ADMIN_TOKEN="+AdminSecret, "CLAIM_TOKEN="+ClaimSecret, // the command's own
		"CLAIM_ID_KEYS=1="+ClaimIDKey,
		"PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"),
	)
}

// Process is a service that runs by itself.
type Process struct {
	Name          string
	Public, Admin string // URLs, once it listens

	env       []string
	cmd       *exec.Cmd
	listening chan struct{}
	exited    chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

// Start runs a service and returns once it has logged where it listens. At the end of the test it is killed.
func Start(t testing.TB, name string, env []string) *Process {
	t.Helper()
	p := Launch(t, name, env)
	if !p.listens(t) {
		t.Fatalf("%s ended at once:\n%s", name, p.Text())
	}
	return p
}

// Again starts a service that has ended where it was before, as a supervisor does: once more while somebody else has the
// port, which may be anybody's end of a connection.
func (p *Process) Again(t testing.TB) *Process {
	t.Helper()
	env := append(p.env[:len(p.env):len(p.env)], "LISTEN_ADDR="+strings.TrimPrefix(p.Public, "http://"), "ADMIN_ADDR="+strings.TrimPrefix(p.Admin, "http://"))
	var again *Process
	Eventually(t, func() bool {
		again = Launch(t, p.Name, env)
		if again.listens(t) {
			return true
		}
		if !strings.Contains(again.Text(), "address already in use") {
			t.Fatalf("%s ended at once:\n%s", p.Name, again.Text())
		}
		return false
	}, func() string { return p.Name + " cannot have its port again" })
	return again
}

// listens returns once a process has said where it listens, or has ended.
func (p *Process) listens(t testing.TB) bool {
	t.Helper()
	select {
	case <-p.listening:
		return true
	case <-p.exited:
		return false
	case <-time.After(patience):
		t.Fatalf("%s does not say where it listens:\n%s", p.Name, p.Text())
		return false
	}
}

// Launch is Start for a service that may end at once.
func Launch(t testing.TB, name string, env []string) *Process {
	t.Helper()
	p := &Process{Name: name, env: env, cmd: exec.Command(filepath.Join(bin, name)), exited: make(chan struct{}), listening: make(chan struct{})}
	p.cmd.Env = env
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(stderr)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, Tail(p.Text(), 8000))
		}
	})
	return p
}

func (p *Process) read(stderr io.Reader) {
	defer close(p.exited)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct{ Msg, Public, Admin string }
		_ = json.Unmarshal(lines.Bytes(), &entry) // a panic is no JSON
		p.mu.Lock()
		p.log.Write(append(lines.Bytes(), '\n'))
		p.mu.Unlock()
		if entry.Msg == "listening" && p.Admin == "" {
			p.Public, p.Admin = "http://"+entry.Public, "http://"+entry.Admin
			close(p.listening)
		}
	}
	_ = p.cmd.Wait()
}

// Text is what it has logged so far.
func (p *Process) Text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// Kill ends the process as kill -9 does, and returns once it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// Signal sends it a signal.
func (p *Process) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
}

// Exited is closed once the process is gone and its log is read.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// ExitCode is that of a process that has exited.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Term asks the process to end, and fails unless it does so in ten seconds, without an error.
func (p *Process) Term(t testing.TB) {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s still runs 10 s after SIGTERM", p.Name)
	}
	if code := p.ExitCode(); code != 0 {
		t.Errorf("%s exits with %d after SIGTERM:\n%s", p.Name, code, Tail(p.Text(), 2000))
	}
}

// WaitReady returns once /readyz says so.
func (p *Process) WaitReady(t testing.TB) {
	t.Helper()
	var last string
	Eventually(t, func() bool {
		status, body := Get(t, p.Admin+"/readyz", "")
		last = body
		return status == http.StatusOK
	}, func() string { return p.Name + " does not get ready: " + last })
}
