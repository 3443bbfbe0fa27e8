package simulation

import (
	"context"
	"fmt"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
)

// nobody owns a partition whose owner ended, until the group has noticed.
const nobody = -1

// group is a consumer group: who owns which partition, and how far it has come. Each time that a partition is given away
// begins a generation of it, and commits of an earlier one are refused.
type group struct {
	w          *World
	name       string
	members    []*process
	owner      []int
	generation []int
	offsets    []committed
}

type committed struct {
	broker.Offset
	found bool
}

func newGroup(w *World, name string, partitions int) *group {
	g := &group{w: w, name: name, owner: make([]int, partitions), generation: make([]int, partitions), offsets: make([]committed, partitions)}
	for p := range g.owner {
		g.owner[p] = nobody
	}
	return g
}

// give makes a member the owner of a partition. Whoever had it before believes that it still has, until it learns.
func (g *group) give(p int32, member int) {
	g.owner[p] = member
	g.generation[p]++
	g.w.say("the group of the %ss gives partition %d to %s", g.name, p, g.members[member].name)
	g.members[member].role.own(p, g.generation[p])
}

// leave takes a member's partitions from it.
func (g *group) leave(member int) {
	for p := range g.owner {
		if g.owner[p] == member {
			g.owner[p] = nobody
		}
	}
}

// owns tells whether a member's ownership is still that of the group.
func (g *group) owns(member int, p int32, generation int) bool {
	return g.owner[p] == member && g.generation[p] == generation
}

// settle gives what nobody owns to whoever can take it.
func (g *group) settle(choose func(n int) int) {
	for p := range g.owner {
		var able []int
		for i, m := range g.members {
			if m.alive && !m.paused {
				able = append(able, i)
			}
		}
		if g.owner[p] == nobody && len(able) > 0 {
			g.give(int32(p), able[choose(len(able))])
		}
	}
}

// membership is a partition as its owner in one generation sees it: the log, and the group's offset. It is a consumer.Log.
type membership struct {
	group      *group
	topic      *topic
	generation int
	most       int // records in one fetch
}

var _ consumer.Log = membership{}

func (m membership) Fetch(_ context.Context, offset int64) (consumer.Fetched, error) {
	return m.topic.fetch(offset, m.most)
}

func (m membership) Bounds(context.Context) (start, end int64, err error) {
	return m.topic.start, m.topic.end, nil
}

func (m membership) Committed(context.Context) (broker.Offset, bool, error) {
	c := m.group.offsets[m.topic.partition]
	return c.Offset, c.found, nil
}

func (m membership) Commit(_ context.Context, offset int64, metadata string) error {
	g, p := m.group, m.topic.partition
	if g.generation[p] != m.generation {
		g.w.saw("commit fenced")
		return fmt.Errorf("generation %d: %w", m.generation, broker.ErrFenced)
	}
	g.offsets[p] = committed{broker.Offset{Offset: offset, Metadata: metadata}, true}
	g.w.committed(g, p)
	return nil
}
