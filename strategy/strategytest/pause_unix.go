//go:build unix

package strategytest

import (
	"syscall"
)

// Pause stops the process where it stands: nothing in it goes on, and its connections stay open.
func (s *Server) Pause(t T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatalf("%v", err)
	}
	s.leave()
}

// Resume lets it go on, and returns when it has answered everybody who had asked.
func (s *Server) Resume(t T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatalf("%v", err)
	}
	await(t, "the answers of the server that was paused", func() bool { return s.Unanswered() == 0 })
}
