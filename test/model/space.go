package model

import "hash/maphash"

// space is a set of states, each with the number under which it was added. A map would keep every state twice.
type space[S comparable] struct {
	seed   maphash.Seed
	slots  []int32 // number + 1; 0: free
	states []S
}

func newSpace[S comparable]() *space[S] {
	return &space[S]{seed: maphash.MakeSeed(), slots: make([]int32, 1<<10)}
}

// add gives the state's number, and whether it is a new one.
func (p *space[S]) add(s S) (number int32, fresh bool) {
	if 2*len(p.states) >= len(p.slots) {
		p.grow()
	}
	at := p.slot(s)
	if n := p.slots[at]; n != 0 {
		return n - 1, false
	}
	p.states = append(p.states, s)
	p.slots[at] = int32(len(p.states))
	return int32(len(p.states)) - 1, true
}

// slot is where the state stands, or has to.
func (p *space[S]) slot(s S) uint64 {
	mask := uint64(len(p.slots) - 1)
	at := maphash.Comparable(p.seed, s) & mask
	for p.slots[at] != 0 && p.states[p.slots[at]-1] != s {
		at = (at + 1) & mask
	}
	return at
}

func (p *space[S]) grow() {
	p.slots = make([]int32, 2*len(p.slots))
	for i, s := range p.states {
		p.slots[p.slot(s)] = int32(i) + 1
	}
}
