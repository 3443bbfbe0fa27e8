package model

import (
	"fmt"
	"slices"
	"strings"
)

// A Model is a transition system: where it begins, what may happen next, and what must never be.
type Model[S comparable] interface {
	Init() S
	Next(s S, out *Steps[S])
	Bad(s S) string // the promise that this state breaks, or nothing
	Good(s S) bool  // the work is done, or the system has stopped for a loss and says so
}

// Steps are the transitions out of one state.
type Steps[S comparable] struct {
	list  []step[S]
	words bool // only where a trace is printed: millions of sentences would cost more than the search
}

type step[S comparable] struct {
	to    S
	fault bool   // never needed for the system to get on
	bad   string // the step itself breaks a promise: a wrong answer is given
	what  string
}

// Add is a step of the system itself. bad is the promise that it breaks, or nothing.
func (o *Steps[S]) Add(to S, bad, format string, args ...any) { o.add(to, false, bad, format, args) }

// Fault is a step that the world may take, and need not.
func (o *Steps[S]) Fault(to S, format string, args ...any) { o.add(to, true, "", format, args) }

func (o *Steps[S]) add(to S, fault bool, bad, format string, args []any) {
	st := step[S]{to: to, fault: fault, bad: bad}
	if o.words {
		st.what = fmt.Sprintf(format, slices.Clone(args)...) // a clone, so that args need not be on the heap otherwise
	}
	o.list = append(o.list, st)
}

// Result is what a search found. Breach is empty where every promise held in every reachable state.
type Result struct {
	States, Steps, Depth int
	Breach               string
	Trace                []string // a shortest one
}

// String is for the test's log.
func (r Result) String() string {
	if r.Breach == "" {
		return fmt.Sprintf("holds: %d states, %d steps, depth %d", r.States, r.Steps, r.Depth)
	}
	return fmt.Sprintf("BREACH in %d steps, after %d states: %s\n    %s", len(r.Trace), r.States, r.Breach, strings.Join(r.Trace, "\n    "))
}

// Explore visits every reachable state, breadth first, so that the first breach is a shortest one. If none is found it also
// shows that from every state a good one can be reached by steps that are no faults: the system is never stuck for ever,
// not even in a loop.
func Explore[S comparable](m Model[S]) Result {
	x := &search[S]{model: m, space: newSpace[S]()}
	x.add(m.Init(), -1)
	for i := int32(0); int(i) < len(x.space.states); i++ {
		if x.visit(i) {
			return x.result
		}
	}
	x.result.States = len(x.space.states)
	x.result.Depth = len(x.path(int32(len(x.space.states)-1))) - 1
	if i, ok := x.stuck(); ok {
		x.result.Breach = "stuck in silence: from here the work can never be finished, and nothing says why"
		x.result.Trace = x.trace(i)
	}
	return x.result
}

type search[S comparable] struct {
	model  Model[S]
	space  *space[S]
	parent []int32
	edges  []int32 // where the steps lead that are no faults
	from   []int   // of each state: its first edge
	buffer Steps[S]
	result Result
}

func (x *search[S]) add(s S, from int32) int32 {
	i, fresh := x.space.add(s)
	if fresh {
		x.parent = append(x.parent, from)
	}
	return i
}

// visit tells whether it found a breach.
func (x *search[S]) visit(i int32) bool {
	s := x.space.states[i]
	if bad := x.model.Bad(s); bad != "" {
		x.breach(bad, x.trace(i))
		return true
	}
	x.from = append(x.from, len(x.edges))
	x.buffer.list = x.buffer.list[:0]
	x.model.Next(s, &x.buffer)
	for k, st := range x.buffer.list {
		if st.bad != "" {
			x.breach(st.bad, append(x.trace(i), x.told(s)[k].what))
			return true
		}
		j := x.add(st.to, i)
		if !st.fault {
			x.edges = append(x.edges, j)
		}
	}
	x.result.Steps += len(x.buffer.list)
	return false
}

func (x *search[S]) breach(why string, trace []string) {
	x.result.States, x.result.Breach, x.result.Trace = len(x.space.states), why, trace
}

// path leads from a state back to the first one.
func (x *search[S]) path(i int32) (path []int32) {
	for ; i >= 0; i = x.parent[i] {
		path = append(path, i)
	}
	return path
}

func (x *search[S]) told(s S) []step[S] {
	o := Steps[S]{words: true}
	x.model.Next(s, &o)
	return o.list
}

// trace tells in words how a state is reached.
func (x *search[S]) trace(i int32) (trace []string) {
	path := x.path(i)
	slices.Reverse(path)
	for k := range len(path) - 1 {
		steps := x.told(x.space.states[path[k]])
		next := x.space.states[path[k+1]]
		at := slices.IndexFunc(steps, func(st step[S]) bool { return st.to == next })
		trace = append(trace, steps[at].what)
	}
	return trace
}

// stuck gives the first state from which no good one can be reached, by going backwards from the good ones.
func (x *search[S]) stuck() (int32, bool) {
	back, at := x.reversed()
	reaches := make([]bool, len(x.space.states))
	var todo []int32
	for i, s := range x.space.states {
		if x.model.Good(s) {
			reaches[i] = true
			todo = append(todo, int32(i))
		}
	}
	for len(todo) > 0 {
		j := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, i := range back[at[j]:at[j+1]] {
			if !reaches[i] {
				reaches[i] = true
				todo = append(todo, i)
			}
		}
	}
	i := slices.Index(reaches, false)
	return int32(i), i >= 0
}

// reversed gives the edges by where they lead: those into j stand at at[j] to at[j+1].
func (x *search[S]) reversed() (back, at []int32) {
	n := len(x.space.states)
	x.from = append(x.from, len(x.edges))
	at = make([]int32, n+1)
	for _, j := range x.edges {
		at[j+1]++
	}
	for j := range n {
		at[j+1] += at[j]
	}
	back, next := make([]int32, len(x.edges)), slices.Clone(at)
	for i := range n {
		for _, j := range x.edges[x.from[i]:x.from[i+1]] {
			back[next[j]] = int32(i)
			next[j]++
		}
	}
	return back, at
}
