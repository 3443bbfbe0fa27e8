package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
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
func (s *Service) followClaim(w http.ResponseWriter, r *http.Request, c *askedClaim) error {
	if r.Header.Get("Last-Event-ID") == finalEvent {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	f, err := s.newFollower(r.Context(), c)
	if err != nil {
		return err
	}
	defer f.Close()
	stream := s.beginStream(w)
	if r.Method == http.MethodHead {
		return nil
	}
	noteEnd(r.Context(), stream.Pump(r.Context(), f.place.C, f.news))
	return nil
}

// noteEnd puts why a stream was broken off on its access log line.
func noteEnd(ctx context.Context, err error) {
	var failed *net.OpError
	if errors.As(err, &failed) {
		err = failed.Err // its own text has the reader's address
	}
	if err != nil {
		telemetry.Annotate(ctx, slog.String("stream_ended", err.Error()))
	}
}

// follower knows what one stream has told. What it knows is kept here rather than in the frames of functions: the stack of
// a request that only waits halves when they leave three quarters of it unused.
type follower struct {
	*askedClaim
	ctx   context.Context
	s     *Service
	place *waiter
	last  verdict.Verdict
	told  int64 // position; 0: nothing yet
}

// newFollower reads what is known by now. Of what is nothing to follow it gives the problem.
func (s *Service) newFollower(ctx context.Context, c *askedClaim) (*follower, error) {
	place, free := s.waiters.Reserve()
	if !free {
		return nil, unavailable("too many are waiting", nil)
	}
	s.metrics.streams.WithLabelValues("claim").Inc()
	f := &follower{askedClaim: c, ctx: ctx, s: s, place: place}
	err := f.look()
	switch {
	case err != nil:
		err = unreadable(err)
	case f.last.Outcome == fcfs.Retired:
		err = retired(c.id)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *follower) Close() {
	f.s.metrics.streams.WithLabelValues("claim").Dec()
	f.s.waiters.Leave(f.place)
}

// look puts the follower in line, and reads the answer unless progress is known not to have reached the claim.
func (f *follower) look() (err error) {
	f.s.waiters.Wait(f.place, f.t.Partition, f.t.Offset)
	if progress := f.l.Latest(f.t.Partition); progress >= 0 && progress < f.t.Offset {
		f.last = verdict.Verdict{Position: f.t.Offset - progress}
		return nil
	}
	v, err := f.s.lookInTurn(f.ctx, f.l, f.t)
	if err == nil {
		f.last = v
	}
	return err
}

// news is what has changed since it was last asked. A position only falls: one that rose would be true of a Redis that is
// catching up, and of nobody in front. A claim that is retired while it is followed has no answer here any more: the
// stream ends without one, and who connects again gets the 410.
func (f *follower) news(woken bool) (messages []message, over bool) {
	if woken {
		_ = f.look() // what cannot be read now wakes it again once Redis answers
	}
	switch f.last.Outcome {
	case fcfs.Retired:
		return nil, true
	case fcfs.None:
		if progress := f.l.Latest(f.t.Partition); progress < f.t.Offset { // else the answer is about to be read
			f.last.Position = min(f.last.Position, f.t.Offset-progress)
		}
		if f.told > 0 && f.last.Position >= f.told {
			return nil, false
		}
		f.told = f.last.Position
		return []message{f.message("")}, false
	}
	return []message{f.message(finalEvent)}, true
}

func (f *follower) message(id string) message {
	data, err := json.Marshal(f.s.claimBody(f.l, f.t, f.last))
	if err != nil {
		panic(err) // strings and numbers alone
	}
	return message{event: "status", id: id, data: data}
}
