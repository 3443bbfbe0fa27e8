package gateway

import "net/http"

// streamCoupons is for the console: all coupons, and then each that changes.
func (s *Service) streamCoupons(w http.ResponseWriter, r *http.Request) error {
	if err := s.admins(r); err != nil {
		return err
	}
	if _, err := s.open(); err != nil {
		return err
	}
	changed, free := s.board.Join()
	if !free {
		return unavailable("too many streams are open", nil)
	}
	defer s.board.Leave(changed)
	streams := s.metrics.streams.WithLabelValues("coupons")
	streams.Inc()
	defer streams.Dec()
	stream := s.beginStream(w)
	if r.Method == http.MethodHead {
		return nil
	}
	told := uint64(0)
	err := stream.Pump(r.Context(), changed, func(bool) (messages []message, over bool) {
		messages, told = s.board.Since(told)
		return messages, false
	})
	noteEnd(r.Context(), err)
	return nil
}
