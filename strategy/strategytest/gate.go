package strategytest

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Gate stops one client of Redis between two of its commands: the pause in which everything goes wrong, at a place that a test
// chooses.
type Gate struct {
	mu    sync.Mutex
	stops []*Stop
}

// Stop is one command at which the client stops.
type Stop struct {
	command           string
	reached, released chan struct{}
	release           sync.Once
}

// NewGate puts a gate, open at first, in front of a client.
func NewGate(client *redis.Client) *Gate {
	g := new(Gate)
	client.AddHook(hook{around: g.pass})
	return g
}

// Before stops the client before its next command of that name, such as "sadd", also within a pipeline.
func (g *Gate) Before(command string) *Stop {
	s := &Stop{command: command, reached: make(chan struct{}), released: make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stops = append(g.stops, s)
	return s
}

// Onward lets the client go on from one stop to its next command of a name.
func (g *Gate) Onward(t T, from *Stop, command string) *Stop {
	t.Helper()
	next := g.Before(command)
	from.Release()
	next.Await(t)
	return next
}

// Await returns when the client stands before the command.
func (s *Stop) Await(t T) {
	t.Helper()
	await(t, "a client that stands before "+s.command, func() bool { return closed(s.reached) })
}

// Release lets the client go on.
func (s *Stop) Release() { s.release.Do(func() { close(s.released) }) }

func (g *Gate) pass(ctx context.Context, cmds []redis.Cmder, next func() error) error {
	if s := g.take(cmds); s != nil {
		close(s.reached)
		select {
		case <-s.released:
		case <-ctx.Done():
		}
	}
	return next()
}

func (g *Gate) take(cmds []redis.Cmder) *Stop {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, s := range g.stops {
		for _, cmd := range cmds {
			if cmd.Name() == s.command {
				g.stops = append(g.stops[:i], g.stops[i+1:]...)
				return s
			}
		}
	}
	return nil
}

// Arrivals sees people come: it lets one command at a time through to Redis, of all clients that it watches, and notes whose
// first it is. That is the server's order, to the command.
type Arrivals struct {
	mu    sync.Mutex
	seen  map[string]bool
	order []string
}

type asking struct{}

// AskedBy marks what is done for one person.
func AskedBy(ctx context.Context, userID string) context.Context {
	return context.WithValue(ctx, asking{}, userID)
}

// Watch is for every client through which people ask, and for none with commands that wait.
func (a *Arrivals) Watch(client *redis.Client) { client.AddHook(hook{around: a.pass}) }

// Order is everybody in the order in which they came.
func (a *Arrivals) Order() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.order
}

func (a *Arrivals) pass(ctx context.Context, _ []redis.Cmder, next func() error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if userID, ok := ctx.Value(asking{}).(string); ok && !a.seen[userID] {
		if a.seen == nil {
			a.seen = make(map[string]bool)
		}
		a.seen[userID] = true
		a.order = append(a.order, userID)
	}
	return next()
}

// Trips counts the round trips of the clients that it watches: a command, or a pipeline, is one.
type Trips struct{ n atomic.Int64 }

// Watch is for every client that counts.
func (x *Trips) Watch(client *redis.Client) { client.AddHook(hook{around: x.pass}) }

// Count is how many there were so far.
func (x *Trips) Count() int64 { return x.n.Load() }

func (x *Trips) pass(_ context.Context, _ []redis.Cmder, next func() error) error {
	x.n.Add(1)
	return next()
}

// hook is a redis.Hook with something around each command or pipeline, but not around what opens a connection: that happens
// within a command.
type hook struct {
	around func(ctx context.Context, cmds []redis.Cmder, next func() error) error
}

var opening = map[string]bool{"hello": true, "auth": true, "select": true, "client": true}

func (h hook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if opening[cmd.Name()] {
			return next(ctx, cmd)
		}
		return h.around(ctx, []redis.Cmder{cmd}, func() error { return next(ctx, cmd) })
	}
}

func (h hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if len(cmds) > 0 && opening[cmds[0].Name()] {
			return next(ctx, cmds)
		}
		return h.around(ctx, cmds, func() error { return next(ctx, cmds) })
	}
}
