package coupontest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	pipelineStart = 2 * time.Minute
	pipelineStop  = 15 * time.Second // a service has 10 s to answer what it has in hand
)

// Running is the whole of Firstcome in one process, on a test's servers: `firstcome local` with their addresses. On
// loopback it asks nobody for a token.
type Running struct {
	*Servers
	GatewayURL      string
	GatewayAdminURL string
	LedgerURL       string
	DataDir         string // with endpoints.env, which the firstcome command's other parts read

	http   *http.Client
	cmd    *exec.Cmd
	out    lockedBuffer
	done   chan struct{} // closed when the process has ended; then err says how
	ending atomic.Bool   // the test has ended it, or has given up on it
	err    error
}

// Pipeline starts Firstcome on servers of this test binary and returns when it is ready; it ends with the test. The program
// is that of FIRSTCOME_BIN, else the tool of that name in the go.mod of the tests
// (go get -tool github.com/firstcome/firstcome/cli/cmd/firstcome), else the firstcome on PATH.
//
// A process of its own takes about half a second to start. Tests that only need coupons of their own can share one: start it in
// a test, and let its subtests be parallel.
func Pipeline(t testing.TB) *Running {
	t.Helper()
	return Start(t).Pipeline(t)
}

// Pipeline starts Firstcome on these servers, which must be all three. It may be called again when the one before has
// ended.
func (s *Servers) Pipeline(t testing.TB) *Running {
	t.Helper()
	r := &Running{Servers: s, DataDir: t.TempDir(), http: &http.Client{Transport: &http.Transport{}, Timeout: stepTimeout}}
	t.Cleanup(func() {
		r.http.CloseIdleConnections()
		r.end(t)
	})
	const free = "127.0.0.1:0"
	if err := r.start(free, free, free); err != nil {
		t.Fatalf("coupontest: %v", err)
	}
	return r
}

// Restart kills the process as kill -9 does, starts it again at the same addresses and with the same folder, and returns when
// it is ready. Who was asking gets no answer, and connections are refused meanwhile. Claims are decided again when Kafka has
// noticed that the process before is gone, seconds later.
func (r *Running) Restart(t testing.TB) {
	t.Helper()
	r.Kill()
	var at []string
	for _, address := range []string{r.GatewayURL, r.LedgerURL, r.GatewayAdminURL} {
		_, hostport, _ := strings.Cut(address, "://")
		at = append(at, hostport)
	}
	err := os.Remove(r.endpoints()) // which says that it is ready
	if err == nil {
		err = r.startAt(at[0], at[1], at[2])
	}
	if err != nil {
		t.Fatalf("coupontest: restart: %v", err)
	}
}

// startAt tries for a while: a port may for a moment be that of a client, which asks for whoever was there.
func (r *Running) startAt(gateway, ledger, gatewayAdmin string) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for began := time.Now(); ; <-again.C {
		said := len(r.out.String())
		err := r.start(gateway, ledger, gatewayAdmin)
		if err == nil || !strings.Contains(r.out.String()[said:], syscall.EADDRINUSE.Error()) || time.Since(began) > stepTimeout {
			return err
		}
	}
}

// start starts the process, and returns when it is ready.
func (r *Running) start(gateway, ledger, gatewayAdmin string) error {
	program, err := firstcome()
	if err != nil {
		return err
	}
	s := r.Servers
	r.cmd = exec.Command(program, "local", "--data-dir", r.DataDir,
		"--gateway-addr", gateway, "--ledger-addr", ledger, "--gateway-admin-addr", gatewayAdmin,
		"--kafka", strings.Join(s.Brokers, ","), "--redis", s.RedisAddr, "--postgres", s.DatabaseURL)
	r.cmd.Env = append(withoutSettings(os.Environ()), s.Env()...)
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	detach(r.cmd)
	if err := r.cmd.Start(); err != nil {
		return err
	}
	r.done = make(chan struct{})
	r.ending.Store(false)
	number := strconv.Itoa(r.cmd.Process.Pid)
	watching := s.set.reaper.watch(reapProcess, number)
	go func() {
		r.err = r.cmd.Wait()
		s.set.reaper.forget(reapProcess, number)
		close(r.done)
	}()
	if watching != nil {
		return watching
	}
	if err := r.await(); err != nil {
		r.ending.Store(true)
		return fmt.Errorf("%s local: %w\n%s", program, err, r.out.String())
	}
	return nil
}

func (r *Running) endpoints() string { return filepath.Join(r.DataDir, "endpoints.env") }

// withoutSettings leaves out what a shell says of other servers, and of tokens.
func withoutSettings(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(name, "KAFKA_") || strings.HasPrefix(name, "REDIS_") || strings.HasSuffix(name, "_TOKENS")
	})
}

// await returns when endpoints.env is there: it is written last.
func (r *Running) await() error {
	deadline := time.After(pipelineStart)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(r.endpoints())
		if err == nil {
			return r.read(string(text))
		}
		select {
		case <-r.done:
			return fmt.Errorf("ended: %w", r.err)
		case <-deadline:
			return errors.New("not ready within " + pipelineStart.String())
		case <-tick.C:
		}
	}
}

func (r *Running) read(endpoints string) error {
	into := map[string]*string{"GATEWAY_URL": &r.GatewayURL, "GATEWAY_ADMIN_URL": &r.GatewayAdminURL, "LEDGER_URL": &r.LedgerURL}
	for line := range strings.Lines(endpoints) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if to := into[name]; to != nil {
			*to = value
		}
	}
	for name, value := range into {
		if *value == "" {
			return fmt.Errorf("endpoints.env names no %s", name)
		}
	}
	return nil
}

// Kill ends the process as kill -9 does.
func (r *Running) Kill() {
	r.ending.Store(true)
	_ = r.cmd.Process.Kill()
	<-r.done
}

// Stop ends the process in order. It is an error if that takes too long or the process reports one. On Windows, where a
// process can't be asked, it is Kill.
func (r *Running) Stop() error {
	r.ending.Store(true)
	switch err := terminate(r.cmd.Process); {
	case errors.Is(err, errors.ErrUnsupported):
		r.Kill()
		return nil
	case err != nil: // it is gone
		<-r.done
		return fmt.Errorf("firstcome had ended by itself: %w", cmp.Or(r.err, err))
	}
	select {
	case <-r.done:
		return r.err
	case <-time.After(pipelineStop):
		r.Kill()
		return fmt.Errorf("firstcome did not end within %s", pipelineStop)
	}
}

func (r *Running) end(t testing.TB) {
	if r.done == nil { // it did not even start
		return
	}
	select {
	case <-r.done:
		if !r.ending.Load() { // it was not the test
			t.Errorf("coupontest: firstcome ended by itself: %v", r.err)
		}
	default:
		if err := r.Stop(); err != nil {
			t.Errorf("coupontest: %v", err)
		}
	}
	if t.Failed() {
		t.Logf("firstcome said:\n%s", r.out.String())
	}
}

// lockedBuffer is written by the process and read by the test.
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
