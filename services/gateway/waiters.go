package gateway

import (
	"container/heap"
	"sync"
)

// waiters are the people who wait for their outcome, by partition and in the order of the log. It holds at most max of
// them, since each one costs a connection and a goroutine.
//
// It only wakes: whoever is woken reads the answer itself, so a wake-up too many costs one read, and one too few costs
// as long as it takes until someone looks at progress.
type waiters struct {
	mu     sync.Mutex
	max    int
	places int // reserved
	queues map[int32]*queue
}

// waiter is one person's place. C holds a value once progress has reached the offset.
type waiter struct {
	C         chan struct{}
	partition int32
	offset    int64
	index     int // in its queue; -1: not in it
}

func newWaiters(max int) *waiters {
	return &waiters{max: max, queues: map[int32]*queue{}}
}

// Reserve gives a place before there is anything to wait for; false: all are taken. Every place is given back by Leave.
func (w *waiters) Reserve() (*waiter, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.places >= w.max {
		return nil, false
	}
	w.places++
	return &waiter{C: make(chan struct{}, 1), index: -1}, true
}

// Always is Reserve for an operator: the people who wait must not keep a coupon from being closed.
func (w *waiters) Always() *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.places++
	return &waiter{C: make(chan struct{}, 1), index: -1}
}

// Wait puts p in line for an offset. To miss nothing, look at progress after it, not before.
func (w *waiters) Wait(p *waiter, partition int32, offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(p)
	p.partition, p.offset = partition, offset
	q := w.queues[partition]
	if q == nil {
		q = &queue{}
		w.queues[partition] = q
	}
	heap.Push(q, p)
}

// Leave gives the place back.
func (w *waiters) Leave(p *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(p)
	w.places--
}

// Wake wakes all who wait for an offset up to progress. They are out of line then, until they Wait again.
func (w *waiters) Wake(partition int32, progress int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.queues[partition]
	for q != nil && q.Len() > 0 && (*q)[0].offset <= progress {
		p := heap.Pop(q).(*waiter)
		select {
		case p.C <- struct{}{}:
		default: // woken already
		}
	}
	w.forgetIfEmpty(partition)
}

// Partitions are those that someone waits for.
func (w *waiters) Partitions() []int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	ps := make([]int32, 0, len(w.queues))
	for p := range w.queues {
		ps = append(ps, p)
	}
	return ps
}

// Count tells how many places are taken.
func (w *waiters) Count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.places
}

func (w *waiters) remove(p *waiter) {
	if p.index >= 0 {
		heap.Remove(w.queues[p.partition], p.index)
		w.forgetIfEmpty(p.partition)
	}
}

func (w *waiters) forgetIfEmpty(partition int32) {
	if q := w.queues[partition]; q != nil && q.Len() == 0 {
		delete(w.queues, partition)
	}
}

// queue is a heap by offset.
type queue []*waiter

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].offset < q[j].offset }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(x any) {
	p := x.(*waiter)
	p.index = len(*q)
	*q = append(*q, p)
}

func (q *queue) Pop() any {
	old := *q
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	p.index = -1
	return p
}
