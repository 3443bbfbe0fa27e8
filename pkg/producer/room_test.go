package producer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// taker waits for room in a goroutine.
type taker struct {
	result chan error
	cancel context.CancelFunc
}

func takes(r *room, closing chan struct{}, n int) taker {
	ctx, cancel := context.WithCancel(context.Background())
	t := taker{make(chan error, 1), cancel}
	go func() {
		_, err := r.take(ctx, closing, n)
		t.result <- err
	}()
	synctest.Wait() // it has its turn, or what it wants
	return t
}

func (t taker) ended() (err error, ended bool) {
	synctest.Wait()
	select {
	case err := <-t.result:
		return err, true
	default:
		return nil, false
	}
}

func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, closing := newRoom(10), make(chan struct{})
		expect := func(name string, who taker, want error, ends bool) {
			t.Helper()
			if err, ended := who.ended(); ended != ends || !errors.Is(err, want) {
				t.Errorf("%s: %v, ended: %v", name, err, ended)
			}
		}
		first, second := takes(r, closing, 6), takes(r, closing, 4)
		expect("there is room", first, nil, true)
		expect("just enough room", second, nil, true)

		large := takes(r, closing, 8)
		r.give(4)
		small := takes(r, closing, 1)
		expect("not enough yet", large, nil, false)
		expect("behind it, though there would be room", small, nil, false)
		large.cancel()
		expect("waits no more", large, context.Canceled, true)
		expect("is next now", small, nil, true)

		huge := takes(r, closing, 1000)
		r.give(6)
		expect("needs the whole room", huge, nil, false)
		r.give(1)
		expect("has the whole room", huge, nil, true)
		if used := r.used(); used != 10 {
			t.Errorf("%d used", used)
		}
		last := takes(r, closing, 1)
		close(closing)
		expect("closed", last, ErrClosed, true)
		r.give(10)
		if used := r.used(); used != 0 || len(r.waiting) > 0 {
			t.Errorf("%d used, %d waiting", used, len(r.waiting))
		}
	})
}

// Who is let in while it leaves takes nothing with it.
func TestRoom_letInWhileLeaving(t *testing.T) {
	r := newRoom(10)
	if _, err := r.take(t.Context(), nil, 10); err != nil {
		t.Fatal(err)
	}
	w := &turn{need: 10, ready: make(chan struct{})}
	r.waiting = append(r.waiting, w)
	r.give(10)
	r.leave(w)
	if used := r.used(); used != 0 {
		t.Errorf("%d used by nobody", used)
	}
}
