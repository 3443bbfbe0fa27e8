//go:build !unix

package strategytest

import "testing"

// Pause needs a Unix.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	t.Fatal("a process can be paused on Unix only")
}

// Resume needs a Unix.
func (s *Server) Resume(testing.TB) {}
