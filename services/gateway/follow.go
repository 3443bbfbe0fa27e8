package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/telemetry"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

// finalEvent is the id of a stream's last event. A browser connects again when a stream ends, with the id of the last
// event; 204 tells it to stop (HTML Standard, §9.2.3).
const finalEvent = "final"

// followClaim answers with a stream about one claim, which ends with its answer. Whoever comes when all places to wait
// are taken may come again or ask without a stream: the claim is in the log.
func (s *Service) followClaim(w http.ResponseWriter, r *http.Request, l *requestsLog, t verdict.Ticket) error {
	if r.Header.Get("Last-Event-ID") == finalEvent {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	place, free := s.waiters.Reserve()
	if !free {
		return unavailable("too many are waiting", nil)
	}
	defer s.waiters.Leave(place)
	f := &follower{s: s, l: l, t: t, place: place}
	v, err := f.look(r.Context())
	switch {
	case err != nil:
		return unreadable(err)
	case v.Outcome == fcfs.Retired:
		return retired(r.PathValue("id"))
	}
	streams := s.metrics.streams.WithLabelValues("claim")
	streams.Inc()
	defer streams.Dec()
	stream := s.beginStream(w)
	if r.Method == http.MethodHead {
		return nil
	}
	err = stream.Pump(r.Context(), place.C, func(woken bool) ([]message, bool) {
		if woken {
			if seen, err := f.look(r.Context()); err == nil { // else it is woken again once Redis answers
				v = seen
			}
		}
		return f.news(v)
	})
	noteEnd(r.Context(), err)
	return nil
}

// noteEnd puts why a stream was broken off on its access log line.
func noteEnd(ctx context.Context, err error) {
	if err != nil {
		telemetry.Annotate(ctx, slog.String("stream_ended", err.Error()))
	}
}

// follower knows what one stream has told.
type follower struct {
	s     *Service
	l     *requestsLog
	t     verdict.Ticket
	place *waiter
	told  int64 // position; 0: nothing yet
}

// look puts the follower in line, and reads the answer unless progress is known not to have reached the claim.
func (f *follower) look(ctx context.Context) (verdict.Verdict, error) {
	f.s.waiters.Wait(f.place, f.t.Partition, f.t.Offset)
	if progress := f.l.Latest(f.t.Partition); progress >= 0 && progress < f.t.Offset {
		return verdict.Verdict{Position: f.t.Offset - progress}, nil
	}
	return f.s.lookInTurn(ctx, f.l, f.t)
}

// news is what has changed since it was last asked. A position only falls: one that rose would be true of a Redis that is
// catching up, and of nobody in front. A claim that is retired while it is followed has no answer here any more: the
// stream ends without one, and who connects again gets the 410.
func (f *follower) news(v verdict.Verdict) (messages []message, over bool) {
	switch v.Outcome {
	case fcfs.Retired:
		return nil, true
	case fcfs.None:
		if progress := f.l.Latest(f.t.Partition); progress < f.t.Offset { // else the answer is about to be read
			v.Position = min(v.Position, f.t.Offset-progress)
		}
		if f.told > 0 && v.Position >= f.told {
			return nil, false
		}
		f.told = v.Position
		return []message{f.message(v, "")}, false
	}
	return []message{f.message(v, finalEvent)}, true
}

func (f *follower) message(v verdict.Verdict, id string) message {
	data, err := json.Marshal(f.s.claimBody(f.l, f.t, v))
	if err != nil {
		panic(err) // strings and numbers alone
	}
	return message{event: "status", id: id, data: data}
}
