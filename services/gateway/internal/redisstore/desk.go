package redisstore

import (
	"context"
	_ "embed"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/redislayout"
)

var (
	//go:embed desk.lua
	deskSource string
	deskScript = redis.NewScript(deskSource)
)

// maxTogether bounds the calls of one script call, so that Redis answers others meanwhile: some 20 µs each.
const maxTogether = 100

// desk takes the calls of one partition to Redis. While a script call is under way others gather, and go together in the
// next: a lone one leaves at once, and a crowd shares its round trips.
type desk struct {
	client redis.UniversalClient
	keys   redislayout.Keys

	mu      sync.Mutex
	waiting []*call
	busy    bool
}

// call is one call of desk.lua.
type call struct {
	ctx context.Context
	// The desk asks its methods one after another, perhaps when nobody waits for the answer any more.
	asker
	done   chan struct{} // closed once answer and err are there
	answer reply
	err    error
}

// asker finds its words as the call is sent. One that has to ask again after an answer stays before all that came after it.
type asker interface {
	words() words
	again(reply) (bool, error)
}

// words are a call's name, keys and arguments. Alone they ask just once.
type words struct {
	name string
	keys []string
	args []any
}

func (w words) words() words              { return w }
func (w words) again(reply) (bool, error) { return false, nil }

func (s *Store) desk(partition int32) *desk {
	if d, ok := s.desks.Load(partition); ok {
		return d.(*desk)
	}
	d, _ := s.desks.LoadOrStore(partition, &desk{client: s.client, keys: s.keys(partition)})
	return d.(*desk)
}

// start hands a call in. Calls that were handed in before it are made before it.
func (d *desk) start(ctx context.Context, a asker) *call {
	c := &call{ctx: ctx, asker: a, done: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = append(d.waiting, c)
	if !d.busy {
		d.busy = true
		go d.work()
	}
	return c
}

// wait gives the answer, or the error of the call's context: then the call may still be made.
func (c *call) wait() (reply, error) {
	select {
	case <-c.done:
		return c.answer, c.err
	case <-c.ctx.Done():
		return nil, c.ctx.Err()
	}
}

func (d *desk) work() {
	for calls := d.take(); len(calls) > 0; calls = d.take() {
		answers, err := d.send(calls)
		var unfinished []*call
		for i, c := range calls {
			again := false
			if c.err = err; err == nil {
				again, c.err = c.understand(answers[i])
			}
			if again {
				unfinished = append(unfinished, c)
			} else {
				close(c.done)
			}
		}
		d.putBack(unfinished)
	}
}

// putBack puts calls before all that wait.
func (d *desk) putBack(calls []*call) {
	if len(calls) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = append(calls, d.waiting...)
}

// take gives the next calls whose callers are still there. With none left, the desk is idle.
func (d *desk) take() (calls []*call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.waiting) > 0 && len(calls) < maxTogether {
		if c := d.waiting[0]; c.ctx.Err() == nil {
			calls = append(calls, c)
		}
		d.waiting[0] = nil
		d.waiting = d.waiting[1:]
	}
	d.busy = len(calls) > 0
	return calls
}

func (d *desk) send(calls []*call) ([]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	keys, args := []string{d.keys.Progress()}, []any{definitionPrefix, len(calls)}
	for _, c := range calls {
		w := c.words()
		keys = append(keys, w.keys...)
		args = append(append(args, w.name), w.args...)
	}
	answers, err := deskScript.Run(ctx, d.client, keys, args...).Slice()
	if err == nil && len(answers) != len(calls) {
		err = fmt.Errorf("redis: %d answers to %d calls", len(answers), len(calls))
	}
	return answers, err
}

func (c *call) understand(answer any) (again bool, err error) {
	list, ok := answer.([]any)
	if !ok {
		return false, fmt.Errorf("%w: %T instead of an answer", errReply, answer)
	}
	if len(list) > 1 && list[0] == "damaged" {
		return false, fmt.Errorf("redis: the state is damaged: %v", list[1])
	}
	c.answer = list
	return c.again(list)
}
