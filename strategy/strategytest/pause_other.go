//go:build !unix

package strategytest

// Pause needs a Unix.
func (s *Server) Pause(t T) {
	t.Helper()
	t.Fatalf("a process can be paused on Unix only")
}

// Resume needs a Unix.
func (s *Server) Resume(T) {}
