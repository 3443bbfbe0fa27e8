package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	pollEvery     = 10 * time.Millisecond
	logLimit      = 8 << 20 // the server's log begins again above this size
	initdbSetting = "--encoding=UTF8"
)

// cluster is a Postgres data folder with what belongs to it.
type cluster struct {
	dir      string // what the caller named: lock, password, log, location
	home     string // what contains the data: dir, or where "location" leads
	account  account
	password string
}

func (c cluster) data() string { return filepath.Join(c.home, "data") }
func (c cluster) log() string  { return filepath.Join(c.dir, "postgres.log") }

// openCluster finds or makes the folders. The caller holds the lock of dir.
func openCluster(dir string) (cluster, error) {
	c := cluster{dir: dir}
	var err error
	if c.account, err = accountFor(filepath.Join(dir, "data")); err != nil {
		return c, err
	}
	if c.home, err = place(c.account, dir); err != nil {
		return c, err
	}
	c.password, err = readOrMake(filepath.Join(dir, "password"), newPassword)
	return c, err
}

func readOrMake(path string, value func() string) (string, error) {
	text, err := os.ReadFile(path)
	if err == nil && len(text) > 0 {
		return strings.TrimSpace(string(text)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	made := value()
	return made, os.WriteFile(path, []byte(made+"\n"), 0o600)
}

// init makes the data folder unless it is there. It is made beside its place and moved, so that what a killed run left
// half done is never taken for a data folder.
func (c cluster) init(ctx context.Context, programs programs, unsafe bool) error {
	version, err := os.ReadFile(filepath.Join(c.data(), "PG_VERSION"))
	if err == nil {
		return programs.fits(strings.TrimSpace(string(version)), c.data())
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	work := filepath.Join(c.home, "initdb")
	if err := errors.Join(os.RemoveAll(work), os.Mkdir(work, 0o700)); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.WriteFile(filepath.Join(work, "password"), []byte(c.password), 0o600); err != nil {
		return err
	}
	if err := c.account.own(work, filepath.Join(work, "password")); err != nil {
		return err
	}
	args := []string{
		"-D", filepath.Join(work, "data"), "-U", postgresName, "--pwfile", filepath.Join(work, "password"),
		"--auth=scram-sha-256", initdbSetting, "--locale=C", "--no-instructions",
	}
	if unsafe {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, programs.initdb, args...)
	cmd.Dir, cmd.Env = work, environment(work)
	c.account.runAs(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb as %s: %w\n%s", c.account, err, out)
	}
	return os.Rename(filepath.Join(work, "data"), c.data())
}

// environment of the server: nothing of ours, since PGDATA, PGPORT and their like would change what it does.
func environment(home string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C"}
}

func (c cluster) start(programs programs, port int, unsafe bool) (*process, error) {
	settings := []string{
		"port=" + strconv.Itoa(port), "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200",
		"timezone=UTC", "log_timezone=UTC", "logging_collector=off", "log_destination=stderr",
	}
	if unsafe {
		settings = append(settings, "fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0")
	}
	args := []string{"-D", c.data()}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	// A file, not a pipe: the server outlives us when we are killed, and would fail at writing to a broken pipe.
	log, err := openLog(c.log())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(programs.postgres, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.data(), environment(c.home), log, log
	c.account.runAs(cmd)
	return startProcess(cmd)
}

func openLog(path string) (*os.File, error) {
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Size() > logLimit {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(path, flags, 0o600)
}

// logTail is what the server said last, for error messages.
func (c cluster) logTail() string {
	text, err := os.ReadFile(c.log())
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// waitReady returns when the server says that it takes connections, in the last line of its pid file.
func (c cluster) waitReady(ctx context.Context, process *process) error {
	for {
		if f, err := readPidFile(c.data()); err == nil && f.pid == process.pid() && f.ready {
			return nil
		}
		select {
		case <-process.done:
			return fmt.Errorf("ended at once: %w", process.err)
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}
