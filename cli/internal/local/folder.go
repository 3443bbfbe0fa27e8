package local

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/pkg/coupontest/embedded"
)

// Files of a data folder, besides those of the servers.
const (
	lockFile    = "lock"
	keyFile     = "claim-id-key"
	lastFile    = "last-endpoints.env" // of the run before
	logFile     = "local.log"
	kafkaDir    = "kafka"
	postgresDir = "postgres"
)

// folder is a data folder that this process alone uses.
type folder struct {
	dir  string
	lock *os.File
	last map[string]string // endpoints of the run before, so that a free port stays the same one
}

// open makes the folder where it is not there, and locks it. endpoints.env says that its servers run, so it goes.
func open(dir string) (*folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	f := &folder{dir: dir}
	if f.lock, err = lock(filepath.Join(dir, lockFile)); err != nil {
		return nil, fmt.Errorf("the data folder %s is in use by another `firstcome local`: stop that one, or give another --data-dir (%w)", dir, err)
	}
	if err := f.retire(); err != nil {
		return nil, errors.Join(err, f.lock.Close())
	}
	if f.last, err = endpoint.Read(f.path(lastFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, f.lock.Close())
	}
	return f, nil
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

// retire takes the endpoints away from those who look for running servers.
func (f *folder) retire() error {
	err := os.Rename(endpoint.Path(f.dir), f.path(lastFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// claimIDKeys is what the gateway seals claim ids with: made once, so that an id that was handed out before a restart is
// known after it.
func (f *folder) claimIDKeys() (string, error) {
	text, err := os.ReadFile(f.path(keyFile))
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	keys := "1=" + base64.StdEncoding.EncodeToString(key)
	temporary := f.path(keyFile + ".new")
	if err := os.WriteFile(temporary, []byte(keys+"\n"), 0o600); err != nil {
		return "", err
	}
	return keys, os.Rename(temporary, f.path(keyFile))
}

// listen listens; where any free port will do, first on the one of the run before, so that clients find their way back
// after a restart.
func (f *folder) listen(addr, lastName string) (net.Listener, error) {
	if again, ok := f.again(addr, lastName); ok {
		if ln, err := net.Listen("tcp", again); err == nil {
			return ln, nil
		}
	}
	return net.Listen("tcp", addr)
}

// free is listen for a server that listens by itself: it tells an address that is free now.
func (f *folder) free(addr, lastName string) (string, error) {
	ln, err := f.listen(addr, lastName)
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// again is the address of the run before, if addr leaves the port open and has the same host.
func (f *folder) again(addr, lastName string) (string, bool) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port != "0" {
		return "", false
	}
	last := f.last[lastName]
	if u, err := url.Parse(last); err == nil && u.Host != "" {
		last = u.Host
	}
	lastHost, _, err := net.SplitHostPort(last)
	return last, err == nil && lastHost == host
}

func (f *folder) close() error { return errors.Join(f.retire(), f.lock.Close()) }

// Idle returns when no process has a data folder any more. Where that cannot be found out it says so.
func Idle(ctx context.Context, dir string) error {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		f, err := lock(filepath.Join(dir, lockFile))
		switch {
		case err == nil:
			return f.Close()
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			return fmt.Errorf("look whether the data folder is in use: %w", err)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("the data folder %s is still in use: %w", dir, err)
		}
	}
}

// Remove removes a data folder that no process has, and the data of its Postgres, wherever they are.
func Remove(dir string) error {
	return errors.Join(embedded.RemovePostgres(filepath.Join(dir, postgresDir)), os.RemoveAll(dir))
}
