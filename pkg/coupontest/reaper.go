package coupontest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest/embedded"
)

// A test binary that panics, is killed or runs into its time-out can't tidy up, and one without Main never learns that its
// last test has ended. So a second process of the same program reads from a pipe what was started, and when the pipe ends
// without a word of dismissal, it stops all that. (Ryuk does so for containers only, and its image can't always be had.)
const (
	reaperVariable = "COUPONTEST_REAPER"
	reapPostgres   = "postgres"   // and the data folder
	reapDatabase   = "database"   // its name, and the URL of one to give orders in
	reapContainers = "containers" // and the label's value
	reapProcess    = "process"    // and its number
	reapForget     = "forget-"    // before one of those
	reapDismissed  = "dismissed"
)

// init is where the second process ends, before anything of the tests runs in it.
func init() {
	if os.Getenv(reaperVariable) != "" {
		reap(os.Stdin)
		os.Exit(0)
	}
}

type reaper struct {
	mu   sync.Mutex
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// watch says that something is about to be started.
func (r *reaper) watch(what, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !testing.Testing() { // who calls Describe sees to it himself
		return nil
	}
	if r.cmd == nil {
		if err := r.spawn(); err != nil {
			return fmt.Errorf("start the reaper: %w", err)
		}
	}
	_, err := fmt.Fprintln(r.pipe, what, name)
	return err
}

// forget says that something has ended by itself. Process numbers are used again, so one that is over must not be killed.
func (r *reaper) forget(what, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pipe != nil {
		_, _ = fmt.Fprintln(r.pipe, reapForget+what, name) // there is no reaper any more: then nobody kills it either
	}
}

// spawn starts the second process in a group of its own (a ^C is not for it) and without our output, whose end `go test`
// waits for.
func (r *reaper) spawn() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), reaperVariable+"=1")
	detach(cmd)
	if r.pipe, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r.cmd = cmd
	return nil
}

// dismiss ends the second process: everything has been stopped.
func (r *reaper) dismiss() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return nil
	}
	if _, err := fmt.Fprintln(r.pipe, reapDismissed); err != nil {
		return err
	}
	if err := r.pipe.Close(); err != nil {
		return err
	}
	return r.cmd.Wait()
}

// reap is the second process. It can tell nobody of its problems.
func reap(in io.Reader) {
	watched := map[string][]string{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		what, name, _ := strings.Cut(lines.Text(), " ")
		if what == reapDismissed {
			return
		}
		if over, ok := strings.CutPrefix(what, reapForget); ok {
			watched[over] = slices.DeleteFunc(watched[over], func(n string) bool { return n == name })
			continue
		}
		watched[what] = append(watched[what], name)
	}
	for _, number := range watched[reapProcess] {
		killProcess(number)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for _, label := range watched[reapContainers] {
		_ = removeContainers(ctx, label)
	}
	for _, database := range watched[reapDatabase] {
		name, admin, _ := strings.Cut(database, " ")
		_ = dropDatabase(ctx, admin, name)
	}
	for _, dir := range watched[reapPostgres] {
		// The pipe may end before the lock of the dying process does.
		_ = await(ctx, func(context.Context) error { return embedded.RemovePostgres(dir) })
	}
}

func killProcess(number string) {
	pid, err := strconv.Atoi(number)
	if err != nil {
		return
	}
	if process, err := os.FindProcess(pid); err == nil {
		_ = process.Kill()
	}
}
