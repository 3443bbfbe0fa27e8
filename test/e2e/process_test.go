package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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

// patience bounds every wait; nothing waits that long unless something is broken.
const patience = 60 * time.Second

// Secrets of the test's processes.
const (
	adminSecret = "admin-secret"
	claimSecret = "claim-secret"
	readSecret  = "read-secret"
)

// environment is what all processes of a test get, besides the servers' addresses.
func environment(s *coupontest.Servers) []string {
	return append(s.Env(),
		"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0",
		"ADMIN_TOKENS=ops="+adminSecret, "CLAIM_TOKENS=shop="+claimSecret, "READ_TOKENS=crm="+readSecret,
		"ADMIN_TOKEN="+adminSecret, "CLAIM_TOKEN="+claimSecret, // the command's own
		"CLAIM_ID_KEYS=1=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
		"PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"),
	)
}

// process is a service that runs by itself.
type process struct {
	name   string
	cmd    *exec.Cmd
	exited chan struct{} // closed once the process is gone and its log is read

	mu            sync.Mutex
	log           bytes.Buffer
	public, admin string
	listening     chan struct{}
}

// start runs a service and returns once it has logged where it listens. At the end of the test it is killed.
func start(t *testing.T, name string, env []string) *process {
	t.Helper()
	p := launch(t, name, env)
	select {
	case <-p.listening:
	case <-p.exited:
		t.Fatalf("%s ended at once:\n%s", name, p.text())
	case <-time.After(patience):
		t.Fatalf("%s does not say where it listens:\n%s", name, p.text())
	}
	return p
}

func launch(t *testing.T, name string, env []string) *process {
	t.Helper()
	p := &process{name: name, cmd: exec.Command(filepath.Join(bin, name)), exited: make(chan struct{}), listening: make(chan struct{})}
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
		p.kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, tail(p.text(), 8000))
		}
	})
	return p
}

func (p *process) read(stderr io.Reader) {
	defer close(p.exited)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct{ Msg, Public, Admin string }
		_ = json.Unmarshal(lines.Bytes(), &entry) // a panic is no JSON
		p.mu.Lock()
		p.log.Write(append(lines.Bytes(), '\n'))
		if entry.Msg == "listening" && p.admin == "" {
			p.public, p.admin = "http://"+entry.Public, "http://"+entry.Admin
			close(p.listening)
		}
		p.mu.Unlock()
	}
	_ = p.cmd.Wait()
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// term asks the process to end, and fails unless it does so in ten seconds, without an error.
func (p *process) term(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s still runs 10 s after SIGTERM", p.name)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("%s exits with %d after SIGTERM:\n%s", p.name, code, tail(p.text(), 2000))
	}
}

// waitReady returns once /readyz says so.
func (p *process) waitReady(t *testing.T) {
	t.Helper()
	var last string
	eventually(t, func() bool {
		status, body := get(t, p.admin+"/readyz", "")
		last = body
		return status == http.StatusOK
	}, func() string { return p.name + " does not get ready: " + last })
}

// eventually waits for a condition that nobody signals.
func eventually(t *testing.T, holds func() bool, otherwise func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(otherwise())
		}
	}
}

func get(t *testing.T, url, secret string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, req, secret)
}

// do sends a request; a connection that breaks is status 0.
func do(t *testing.T, req *http.Request, secret string) (int, string) {
	t.Helper()
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// firstcome runs the command to its end.
func firstcome(t *testing.T, env []string, args ...string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "firstcome"), args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("firstcome %s: %v", strings.Join(args, " "), err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// must runs the command and wants it to succeed.
func must(t *testing.T, env []string, args ...string) string {
	t.Helper()
	out, code := firstcome(t, env, args...)
	if code != 0 {
		t.Fatalf("firstcome %s exits with %d:\n%s", strings.Join(args, " "), code, tail(out, 4000))
	}
	return out
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return fmt.Sprintf("… %s", s[len(s)-n:])
}
