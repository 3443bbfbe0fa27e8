//go:build unix

package compare

import (
	"os/exec"
	"syscall"
)

// apart keeps a terminal's ^C away from a child: its end comes from its parent, in order.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
