package strategytest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/firstcome/firstcome/strategy"
)

// Serve is the process at the other end of a Server: a server of a shop, which claims for whoever asks, until in ends. The gate
// is that of its Redis client, or nil.
//
//	7 claim tea ada     7 issued
//	8 before sadd       8 reached, once it stands there; "8 release" lets it go on
//	9 work tea          the worker of a Decider
func Serve(ctx context.Context, s strategy.Strategy, gate *Gate, in io.Reader, out io.Writer) error {
	ctx, end := context.WithCancel(ctx)
	server := &serving{strategy: s, gate: gate, out: out, stops: make(map[int]*Stop)}
	lines := bufio.NewScanner(in)
	var err error
	for err == nil && lines.Scan() {
		err = server.take(ctx, lines.Text())
	}
	end()
	server.busy.Wait()
	return errors.Join(err, lines.Err())
}

type serving struct {
	strategy strategy.Strategy
	gate     *Gate
	stops    map[int]*Stop
	busy     sync.WaitGroup
	mu       sync.Mutex // of out
	out      io.Writer
}

func (s *serving) take(ctx context.Context, line string) error {
	var number int
	var what, one, two string
	if n, err := fmt.Sscan(line, &number, &what, &one, &two); n < 2 {
		return fmt.Errorf("asked %q: %w", line, err)
	}
	switch what {
	case "claim":
		s.busy.Go(func() { s.say(number, word(s.strategy.Claim(ctx, one, two))) })
	case "work":
		s.busy.Go(func() { s.say(number, fmt.Sprintf("worked: %v", s.strategy.(strategy.Decider).Work(ctx, one))) })
	case "before":
		stop := s.gate.Before(one)
		s.stops[number] = stop
		s.say(number, "set")
		s.busy.Go(func() {
			select {
			case <-stop.reached:
				s.say(number, "reached")
			case <-ctx.Done():
			}
		})
	case "release":
		s.stops[number].Release()
	default:
		return fmt.Errorf("asked %q, which nobody knows", line)
	}
	return nil
}

func (s *serving) say(number int, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.out, number, what)
}

// words are the answers on the wire. What is none of them is an error of some other kind.
var words = map[string]strategy.Told{
	"issued": {Answer: strategy.Issued}, "accepted": {Answer: strategy.Accepted}, "not-found": {Err: strategy.ErrCouponNotFound},
	"exhausted": {Err: strategy.ErrExhausted}, "already-issued": {Err: strategy.ErrAlreadyIssued}, "busy": {Err: strategy.ErrBusy},
}

func word(answer strategy.Answer, err error) string {
	for text, told := range words {
		if err == nil && told.Err == nil && told.Answer == answer || err != nil && errors.Is(err, told.Err) {
			return text
		}
	}
	return fmt.Sprintf("answer %q, error %v", answer, err)
}
