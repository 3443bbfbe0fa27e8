package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/lifecycle"
)

const (
	eventPace      = time.Second      // between two events of one stream about the same thing
	heartbeatEach  = 15 * time.Second // without an event: proxies end what says nothing, and who is gone is found out
	streamPatience = 10 * time.Second // for what was written to get through; who does not read it is dropped
	streamChunk    = 32 << 10         // bytes written at once, at least where there is so much
)

// message is one event of a stream. Its data is one line.
type message struct {
	event string
	id    string // what the browser sends as Last-Event-ID when it connects again; "": none
	data  []byte
}

func (m message) appendTo(b []byte) []byte {
	b = append(append(append(b, "event: "...), m.event...), '\n')
	if m.id != "" {
		b = append(append(append(b, "id: "...), m.id...), '\n')
	}
	return append(append(append(b, "data: "...), m.data...), "\n\n"...)
}

// eventStream is an answer that goes on: server-sent events (HTML Standard, §9.2). It is of one goroutine.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	dropped prometheus.Counter // counts one whose reader took too long
}

// beginStream answers 200. What goes wrong from here on has no status any more.
func (s *Service) beginStream(w http.ResponseWriter) *eventStream {
	h := w.Header()
	h.Set("Content-Type", mediaStream)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would keep the events until it has some kilobytes
	w.WriteHeader(http.StatusOK)
	return &eventStream{w: w, control: http.NewResponseController(w), dropped: s.metrics.dropped}
}

// Pump writes the news until they are over, the reader is gone or too slow, or the gateway stops: then it asks for news
// once more. It asks each second, and at once when woken, but after an event not before a second is over. woken tells
// news whether a value came from there since it was last asked.
func (e *eventStream) Pump(ctx context.Context, woken <-chan struct{}, news func(woken bool) (messages []message, over bool)) error {
	const retry = "retry: 1000\n\n" // ms until a browser connects again
	if err := e.write([]byte(retry)); err != nil {
		return err
	}
	draining, written := lifecycle.Draining(ctx), time.Now()
	pace := time.NewTimer(eventPace)
	defer pace.Stop()
	for hit := false; ; {
		select {
		case <-woken:
			hit = true
		default:
		}
		stopping := closed(draining)
		messages, over := news(hit)
		if err := e.send(messages); err != nil {
			return err
		}
		if over || stopping {
			return nil
		}
		again, end := woken, draining
		if hit = false; len(messages) > 0 {
			written, again, end = time.Now(), nil, nil
		} else if time.Since(written) >= heartbeatEach {
			if err := e.write([]byte(":\n\n")); err != nil {
				return err
			}
			written = time.Now()
		}
		pace.Reset(eventPace)
		select {
		case <-again:
			hit = true
		case <-pace.C:
		case <-end:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (e *eventStream) send(messages []message) error {
	var b []byte
	for i, m := range messages {
		b = m.appendTo(b)
		if len(b) < streamChunk && i < len(messages)-1 {
			continue
		}
		if err := e.write(b); err != nil {
			return err
		}
		b = b[:0]
	}
	return nil
}

// write returns once b is on its way. The deadline is taken away again, since of HTTP/2 it would end the stream also
// while nothing is written.
func (e *eventStream) write(b []byte) error {
	began := time.Now()
	_ = e.control.SetWriteDeadline(began.Add(streamPatience)) // without deadlines (in tests) writing does not block either
	_, err := e.w.Write(b)
	if err == nil {
		err = e.control.Flush()
	}
	if err != nil {
		if time.Since(began) >= streamPatience {
			e.dropped.Inc()
		}
		return err
	}
	_ = e.control.SetWriteDeadline(time.Time{})
	return nil
}
