//go:build !unix

package coupontest

import (
	"errors"
	"os"
	"os/exec"
)

func detach(*exec.Cmd) {}

// terminate: these systems know no way to ask.
func terminate(*os.Process) error { return errors.ErrUnsupported }
