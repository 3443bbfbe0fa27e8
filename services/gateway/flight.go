package gateway

// flight bounds the claims that are on their way: from having been read to being in the log. More of them would not get
// there any sooner, only wait longer; so who comes beyond the bound is told at once to come again. A slow body is not yet
// on its way, and who waits for an outcome is no longer.
type flight struct{ places chan struct{} }

func newFlight(max int) *flight { return &flight{make(chan struct{}, max)} }

// Enter takes a place, if one is free. leave gives it back.
func (f *flight) Enter() (leave func(), ok bool) {
	select {
	case f.places <- struct{}{}:
		return func() { <-f.places }, true
	default:
		return nil, false
	}
}

func (f *flight) Count() int { return len(f.places) }

// enter is Enter with the answer to who cannot.
func (s *Service) enter() (leave func(), err error) {
	leave, ok := s.flight.Enter()
	if !ok {
		s.count("busy")
		return nil, unavailable("too many claims at once", nil)
	}
	return leave, nil
}
