//go:build unix

package compare

import (
	"os/exec"
	"syscall"
)

// Possible says that a process can be paused here, which is one of the attacks.
const Possible = true

// apart keeps a terminal's ^C away from a child: its end comes from its parent, in order.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
