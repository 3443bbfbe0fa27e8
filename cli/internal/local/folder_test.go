package local

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
)

func reopen(t *testing.T, dir string) *folder {
	t.Helper()
	f, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.close() }) // closed twice by those tests that close it themselves
	return f
}

func TestFolder_OneAtATime(t *testing.T) {
	dir := t.TempDir()
	f := reopen(t, dir)
	if _, err := open(dir); err == nil || !strings.Contains(err.Error(), "in use by another `firstcome local`") {
		t.Fatalf("got %v, want a refusal", err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	reopen(t, dir)
}

func TestFolder_ClaimIDKeys(t *testing.T) {
	dir := t.TempDir()
	f := reopen(t, dir)
	first, err := f.claimIDKeys()
	if err != nil || !strings.HasPrefix(first, "1=") {
		t.Fatalf("got %q, %v", first, err)
	}
	if info, err := os.Stat(f.path(keyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: the key is a secret", info.Mode(), err)
	}
	if again, err := f.claimIDKeys(); err != nil || again != first {
		t.Errorf("got %q, %v: another key, and every claim id that was handed out is unknown", again, err)
	}
}

func TestFolder_EndpointsSayWhatRuns(t *testing.T) {
	dir := t.TempDir()
	f := reopen(t, dir)
	if err := endpoint.Write(endpoint.Path(dir), map[string]string{endpoint.GatewayURL: "http://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(endpoint.Path(dir)); err == nil {
		t.Error("the endpoints are still there after a stop")
	}
	if f := reopen(t, dir); f.last[endpoint.GatewayURL] != "http://127.0.0.1:1" {
		t.Errorf("got %v: the run before is forgotten", f.last)
	}
}

func TestFolder_ListenAgain(t *testing.T) {
	f := reopen(t, t.TempDir())
	first, err := f.listen("127.0.0.1:0", endpoint.GatewayURL)
	if err != nil {
		t.Fatal(err)
	}
	f.last = map[string]string{endpoint.GatewayURL: "http://" + first.Addr().String(), endpoint.RedisAddr: first.Addr().String()}

	busy := listenOn(t, f, "127.0.0.1:0", endpoint.GatewayURL)
	if busy == first.Addr().String() {
		t.Error("listens where another listens")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, addr, last string
		same             bool
	}{
		{"the port of the run before", "127.0.0.1:0", endpoint.GatewayURL, true},
		{"an address without a scheme", "127.0.0.1:0", endpoint.RedisAddr, true},
		{"nothing is known of the run before", "127.0.0.1:0", endpoint.LedgerURL, false},
		{"another host", "localhost:0", endpoint.GatewayURL, false},
	} {
		if got := listenOn(t, f, c.addr, c.last); (got == first.Addr().String()) != c.same {
			t.Errorf("%s: got %s, the run before had %s", c.name, got, first.Addr())
		}
	}
}

func listenOn(t *testing.T, f *folder, addr, last string) string {
	t.Helper()
	ln, err := f.listen(addr, last)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).String()
}

// Whoever waits for a folder is told when it is free, and that it is not.
func TestIdle(t *testing.T) {
	dir := t.TempDir()
	f, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Idle(ctx, dir); err == nil || !strings.Contains(err.Error(), "still in use") {
		t.Errorf("while it is in use: %v", err)
	}
	freed := make(chan error)
	go func() { freed <- Idle(t.Context(), dir) }()
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if err := <-freed; err != nil {
		t.Error(err)
	}
}

// Where there is no folder nobody has it, and waiting changes nothing.
func TestIdle_NoFolder(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := Idle(ctx, filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil {
		t.Errorf("it says %v, and the context %v", err, ctx.Err())
	}
}
