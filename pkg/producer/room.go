package producer

import (
	"context"
	"slices"
	"sync"
)

// room is how many bytes Send may still take. Who finds none waits in turn, so
// that a large record is not overtaken by small ones for ever.
type room struct {
	all int

	mu      sync.Mutex
	free    int
	waiting []*turn
}

type turn struct {
	need  int
	ready chan struct{} // closed once need is taken
}

func newRoom(all int) *room { return &room{all: all, free: all} }

// take waits until n bytes are free; more than there is room for at all needs
// the whole room. It returns what give must give back.
func (r *room) take(ctx context.Context, closing <-chan struct{}, n int) (int, error) {
	n = min(n, r.all)
	r.mu.Lock()
	if len(r.waiting) == 0 && r.free >= n {
		r.free -= n
		r.mu.Unlock()
		return n, nil
	}
	w := &turn{need: n, ready: make(chan struct{})}
	r.waiting = append(r.waiting, w)
	r.mu.Unlock()
	select {
	case <-w.ready:
		return n, nil
	case <-ctx.Done():
		r.leave(w)
		return 0, context.Cause(ctx)
	case <-closing:
		r.leave(w)
		return 0, ErrClosed
	}
}

// leave is for who waits no more, and may have been let in a moment ago.
func (r *room) leave(w *turn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-w.ready:
		r.free += w.need
	default:
		r.waiting = slices.DeleteFunc(r.waiting, func(other *turn) bool { return other == w })
	}
	r.admit() // those behind may need less
}

func (r *room) give(n int) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free += n
	r.admit()
}

func (r *room) admit() {
	for len(r.waiting) > 0 && r.free >= r.waiting[0].need {
		r.free -= r.waiting[0].need
		close(r.waiting[0].ready)
		r.waiting[0] = nil
		r.waiting = r.waiting[1:]
	}
}

func (r *room) used() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all - r.free
}
