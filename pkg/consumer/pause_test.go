package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/consumer/consumertest"
)

// sink is away for a while, by the clock.
type sink struct {
	stomach
	until time.Time
	says  error // what Handle returns meanwhile
	asked int
}

func (s *sink) well() bool { return !time.Now().Before(s.until) }

func (s *sink) Handle(ctx context.Context, b consumer.Batch) error {
	if s.well() {
		return s.stomach.Handle(ctx, b)
	}
	s.given = append(s.given, letters(b.Records))
	return s.says
}

func (s *sink) Healthy(context.Context) error {
	if s.asked++; !s.well() {
		return errors.New("the sink is away")
	}
	return nil
}

// A sink that is away for an hour costs no attempt and no dead letter, and what it was asked meanwhile is little.
func TestPause(t *testing.T) {
	away := fmt.Errorf("nobody answers: %w", consumer.ErrUnhealthy)
	for _, c := range []struct {
		name    string
		says    error
		healthy bool
		calls   [2]int // of Handle while it is away, least and most
		asked   [2]int // of Healthy
	}{
		{"Handle says so", away, false, [2]int{3000, 8000}, [2]int{0, 0}},
		{"Healthy says so", errPoison, true, [2]int{1, 1}, [2]int{3000, 8000}},
		{"both", away, true, [2]int{1, 1}, [2]int{3000, 8000}},
		{"in the middle of a batch", &consumer.RecordError{Offset: 0, Err: away}, false, [2]int{3000, 8000}, [2]int{0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, box := &sink{says: c.says, until: time.Now().Add(time.Hour)}, &mailbox{}
				var paused, attempts int
				err := drain(t, logOf("abc"), s, to(box), giveUp(2, consumer.DeadLetter), func(p *consumer.PartitionConfig) {
					if c.healthy {
						p.Healthy = s.Healthy
					}
					p.Observe = func(told consumer.Stats) {
						if told.Paused {
							paused++
						}
						attempts = max(attempts, told.Attempts)
					}
				})
				if err != nil || s.taken != "abc" || len(box.letters) > 0 || attempts > 0 || paused < 3000 {
					t.Errorf("returned %v, took %s, buried %v, %d attempts, told of it %d times", err, s.taken, box.letters, attempts, paused)
				}
				if calls := len(s.given) - 2; calls < c.calls[0] || calls > c.calls[1] || s.asked < c.asked[0] || s.asked > c.asked[1] {
					t.Errorf("Handle was called %d times, Healthy %d times", calls, s.asked)
				}
			})
		})
	}
}

// A sink that is well takes no blame for a record.
func TestPause_notForARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, box := &sink{stomach: stomach{poison: "b"}}, &mailbox{}
		err := drain(t, logOf("abc"), s, to(box), giveUp(2, consumer.DeadLetter), func(p *consumer.PartitionConfig) { p.Healthy = s.Healthy })
		if err != nil || s.taken != "ac" || letters(box.records()) != "b" || s.asked == 0 {
			t.Errorf("returned %v, took %s, buried %v; asked %d times", err, s.taken, box.letters, s.asked)
		}
	})
}

// Attempts of before a pause count after it, and those of the pause do not.
func TestPause_attemptsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := []error{errPoison, consumer.ErrUnhealthy, consumer.ErrUnhealthy, errPoison, errPoison}
		calls := 0
		h := &clerk{handle: func(consumer.Batch) error {
			calls++
			return errs[calls-1]
		}}
		var stop *consumer.StopError
		if err := drain(t, logOf("a"), h, giveUp(3, consumer.Stop)); !errors.As(err, &stop) || stop.Attempts != 3 || calls != 5 {
			t.Errorf("returned %v after %d calls", err, calls)
		}
	})
}

// A partition that is taken away during a pause is let go at once, with what is done committed since its beginning.
func TestPause_letsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := logOf("abcd")
		s := &stomach{poison: "c", picky: true, with: consumer.ErrUnhealthy}
		ctx, cancel := context.WithCancel(t.Context())
		cfg, long := quietly(), 30*time.Minute
		cfg.Retry = consumer.Retry{Min: long}
		cfg.CommitEvery = 24 * time.Hour
		done := make(chan error)
		go func() { done <- consumer.RunPartition(ctx, cfg, l, s) }()
		synctest.Wait()
		leaves(t, l, broker.Offset{Offset: 2, Metadata: "source=10"})
		began := time.Now()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || time.Since(began) != 0 {
			t.Errorf("returned %v after %v", err, time.Since(began))
		}
	})
}

// The hook tells what an operator asks: how far, how far behind, how old, and why.
func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &consumertest.Log{Partition: 3, Piece: 2}
		for n, r := range journal("ab!de") {
			r.Time = time.Now().Add(time.Duration(n-10) * time.Minute) // the first is ten minutes old
			l.Append(r)
		}
		s := &stomach{poison: "d", picky: true}
		var told []string
		err := drain(t, l, s, to(&mailbox{}), giveUp(2, consumer.DeadLetter), func(p *consumer.PartitionConfig) {
			p.Observe = func(o consumer.Stats) {
				if o.Partition != 3 {
					t.Errorf("%+v", o)
				}
				if o.Revoked {
					told = append(told, "revoked")
					return
				}
				told = append(told, fmt.Sprintf("next %d end %d lag %d age %v handled %d letters %d attempts %d err %v",
					o.Next, o.End, o.Lag, o.Age.Round(time.Minute), o.Handled, o.DeadLetters, o.Attempts, o.Err != nil))
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if have, want := strings.Join(told, "\n"), strings.TrimSpace(`
next 2 end 5 lag 3 age 9m0s handled 2 letters 0 attempts 0 err false
next 2 end 5 lag 3 age 7m0s handled 0 letters 1 attempts 1 err true
next 4 end 5 lag 1 age 7m0s handled 0 letters 1 attempts 2 err true
next 5 end 5 lag 0 age 0s handled 1 letters 0 attempts 0 err false
revoked`); have != want {
			t.Errorf("told\n%s\nnot\n%s", have, want)
		}
	})
}

// The lag grows while the sink is away, and with nothing to do the hook is told so.
func TestObserve_whatComesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := logOf("a")
		s := &sink{until: time.Now().Add(time.Minute), says: consumer.ErrUnhealthy}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		var last, paused consumer.Stats
		idle, more, began, cfg := 0, journal("abcde")[1:], time.Now(), quietly()
		cfg.Observe = func(o consumer.Stats) {
			last = o
			if time.Since(began) > 30*time.Second {
				l.Append(more...)
				more = nil
			}
			if o.Paused {
				paused = o
			} else if o.Handled == 0 && !o.Revoked {
				idle++
			}
		}
		if err := consumer.RunPartition(ctx, cfg, l, s); !errors.Is(err, context.DeadlineExceeded) || s.taken != "abcde" {
			t.Errorf("returned %v, took %s", err, s.taken)
		}
		if paused.Lag != 5 || paused.End != 5 || paused.Next != 0 {
			t.Errorf("paused: %+v", paused)
		}
		if last.Lag != 0 || last.Age != 0 || last.Err != nil || idle < 50 || idle > 60 {
			t.Errorf("idle %d times: %+v", idle, last)
		}
	})
}
