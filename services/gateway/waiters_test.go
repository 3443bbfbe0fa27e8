package gateway

import (
	"math/rand/v2"
	"sync"
	"testing"
)

func woken(w *waiter) bool {
	select {
	case <-w.C:
		return true
	default:
		return false
	}
}

func TestWaiters_Order(t *testing.T) {
	all := newWaiters(100)
	var places []*waiter
	for _, offset := range rand.Perm(50) {
		w, ok := all.Reserve()
		if !ok {
			t.Fatal("no place")
		}
		all.Wait(w, 1, int64(offset))
		places = append(places, w)
	}
	other, _ := all.Reserve()
	all.Wait(other, 2, 0)
	all.Wake(1, 19)
	for _, w := range places {
		if got, want := woken(w), w.offset <= 19; got != want {
			t.Errorf("offset %d: woken is %v at progress 19", w.offset, got)
		}
	}
	if woken(other) {
		t.Error("a waiter of another partition is woken")
	}
	for _, w := range append(places, other) {
		all.Leave(w)
	}
	if n := all.Count(); n != 0 || len(all.Partitions()) != 0 || len(all.queues) != 0 {
		t.Errorf("%d places and the queues of %v are left behind", n, all.Partitions())
	}
}

func TestWaiters_Bounded(t *testing.T) {
	all := newWaiters(2)
	a, _ := all.Reserve()
	b, _ := all.Reserve()
	if _, ok := all.Reserve(); ok {
		t.Error("a third place of two")
	}
	all.Leave(a)
	if _, ok := all.Reserve(); !ok {
		t.Error("a place that was left is not free")
	}
	all.Leave(b)
}

func TestWaiters_WaitAgain(t *testing.T) {
	all := newWaiters(1)
	w, _ := all.Reserve()
	for offset := range int64(3) {
		all.Wait(w, 0, 10)
		all.Wait(w, int32(offset), offset)
		all.Wake(0, 10)
		all.Wake(int32(offset), offset)
		if !woken(w) {
			t.Errorf("not woken for offset %d", offset)
		}
	}
	all.Leave(w)
	if len(all.queues) != 0 {
		t.Errorf("queues left behind: %v", all.queues)
	}
}

func TestWaiters_Concurrent(t *testing.T) {
	all := newWaiters(64)
	var people sync.WaitGroup
	for i := range 64 {
		people.Go(func() {
			for offset := range int64(200) {
				w, ok := all.Reserve()
				if !ok {
					t.Error("no place")
					return
				}
				all.Wait(w, int32(i%4), offset)
				if offset%3 > 0 { // the others lose patience
					go all.Wake(int32(i%4), 200)
					<-w.C
				}
				all.Leave(w)
			}
		})
	}
	people.Wait()
	if n := all.Count(); n != 0 || len(all.queues) != 0 {
		t.Errorf("%d places, %d queues left behind", n, len(all.queues))
	}
}
