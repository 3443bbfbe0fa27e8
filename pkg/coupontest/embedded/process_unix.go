//go:build linux || darwin

package embedded

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopSignals are Postgres's fast shutdown (clients are cut, data are written), immediate shutdown (as a crash), and the end.
var stopSignals = []struct {
	signal syscall.Signal
	wait   time.Duration
}{{syscall.SIGINT, 15 * time.Second}, {syscall.SIGQUIT, 6 * time.Second}, {syscall.SIGKILL, 5 * time.Second}}

// process is a child and its process group.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended; then err says how
	err  error
}

// startProcess puts the child into a group of its own, so that ^C in a terminal ends us first and we end it.
func startProcess(cmd *exec.Cmd) (*process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		if p.err == nil {
			p.err = errors.New("exit status 0")
		}
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the child in order, and its whole group if it doesn't end.
func (p *process) stop() error {
	for _, how := range stopSignals {
		target := p.pid()
		if how.signal == syscall.SIGKILL {
			target = -target
		}
		select {
		case <-p.done:
			return nil
		default:
		}
		if err := signal(target, how.signal); err != nil {
			return err
		}
		select {
		case <-p.done:
			return nil
		case <-time.After(how.wait):
		}
	}
	return fmt.Errorf("process %d does not end", p.pid())
}

// kill ends the child without a chance to write anything, and returns when it has ended.
func (p *process) kill() {
	_ = signal(-p.pid(), syscall.SIGKILL)
	<-p.done
}

func signal(pid int, s syscall.Signal) error {
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// isServer tells whether pid is a living server of that data folder. Process ids are used again, so the number alone says
// nothing; the command line names the folder.
func isServer(pid int, data string) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return false
	}
	line, err := commandLine(pid)
	return err == nil && strings.Contains(line, "postgres") && strings.Contains(line, data)
}

func commandLine(pid int) (string, error) {
	if runtime.GOOS == "linux" { // empty for a process that ended and wasn't waited for
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		return strings.ReplaceAll(string(text), "\x00", " "), err
	}
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return string(out), err
}
