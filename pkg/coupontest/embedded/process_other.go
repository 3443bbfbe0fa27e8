//go:build !linux && !darwin

package embedded

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"
)

var errUnsupported = errors.New("runs on Linux and macOS only; name a server of your own instead")

var stopSignals []struct {
	signal syscall.Signal
	wait   time.Duration
}

type process struct {
	done chan struct{}
	err  error
}

func startProcess(*exec.Cmd) (*process, error) { return nil, errUnsupported }

func (*process) pid() int    { return 0 }
func (*process) stop() error { return errUnsupported }
func (*process) kill()       {}

func signal(int, syscall.Signal) error { return errUnsupported }
func isServer(int, string) bool        { return false }

type account struct{}

func accountFor(string) (account, error) { return account{}, errUnsupported }
func (account) String() string           { return "nobody" }
func (account) own(...string) error      { return errUnsupported }
func (account) canEnter(string) bool     { return false }
func (account) runAs(*exec.Cmd)          {}
func (account) other() bool              { return false }
func ours(os.FileInfo) bool              { return true }
