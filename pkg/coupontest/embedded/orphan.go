package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// pidFile is what a running server writes into its data folder: pid, data folder, start, port, socket folder, address,
// shared memory, state (src/include/utils/pidfile.h).
type pidFile struct {
	pid   int
	ready bool
}

func pidPath(data string) string { return filepath.Join(data, "postmaster.pid") }

func readPidFile(data string) (pidFile, error) {
	text, err := os.ReadFile(pidPath(data))
	if err != nil {
		return pidFile{}, err
	}
	lines := strings.Split(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 0 {
		return pidFile{}, fmt.Errorf("%s: no process id in it", pidPath(data))
	}
	return pidFile{pid: pid, ready: len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"}, nil
}

// stopOrphan ends a server that a killed run left. The caller holds the folder's lock, so no living run owns it. It is
// stopped and not adopted: its port and settings are the other run's, and only a child can be waited for.
func (c cluster) stopOrphan() error {
	f, err := readPidFile(c.data())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && isServer(f.pid, c.data()) {
		if err := stopStranger(f.pid, c.data()); err != nil {
			return fmt.Errorf("stop the server of a killed run (process %d): %w", f.pid, err)
		}
	}
	// Left over, and its number may be another process's by now, which the server would take for a rival.
	if err := os.Remove(pidPath(c.data())); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// stopStranger asks a server that isn't our child to end, harder and harder.
func stopStranger(pid int, data string) error {
	for _, how := range stopSignals {
		if err := signal(pid, how.signal); err != nil {
			return err
		}
		deadline := time.Now().Add(how.wait)
		for time.Now().Before(deadline) {
			if !isServer(pid, data) {
				return nil
			}
			time.Sleep(pollEvery)
		}
	}
	return errors.New("it does not end")
}
