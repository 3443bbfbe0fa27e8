//go:build !unix

package compare

import "os/exec"

func apart(*exec.Cmd) {}
