package model

import "fmt"

// Consumer is the model of pkg/consumer where a handler starts from the group: two members, one of them possibly stale,
// over any journal that issuer.go allows. What a crash left uncommitted is handled again; a duplicate of the journal never
// is, and nothing is passed over.
type Consumer struct {
	ConsumerDesign
}

// ConsumerDesign is the consumer's design as switches. Zero is the design.
type ConsumerDesign struct {
	NoMetadata    bool // the highest source is not in the commit
	DropByID      bool // a duplicate is what has the id of the record before it
	CommitFirst   bool // the offset is committed before the records are handled
	CommitApart   bool // the highest source is committed after the offset, by another call
	Unfenced      bool // the group takes commits from whoever sends one
	ForgetInBatch bool // the highest source is taken at a batch's end only
}

const (
	consumerFacts = 3
	consumerRoom  = 6
)

type member struct {
	on            bool
	next, highest int8
	last          int8 // DropByID
	owes          int8 // CommitFirst: records still to be handled; CommitApart: 1 while the highest source is to be committed
}

type consumerState struct {
	journal      [consumerRoom]int8
	n, highest   int8
	offset, seen int8 // of the group: offset, and highest source
	owner        int8
	members      [2]member
	handled      uint8 // facts that a handler has taken
	stalls       int8
}

// Init is an empty journal.
func (m *Consumer) Init() consumerState {
	return consumerState{highest: none, seen: none, stalls: 1}
}

// Bad: the group's offset covers what was not handled.
func (m *Consumer) Bad(s consumerState) string {
	for _, f := range s.journal[:s.offset] {
		if s.handled&(1<<f) == 0 {
			return fmt.Sprintf("offset %d is committed, and source %d was never handled", s.offset, f)
		}
	}
	return ""
}

// Good: all is handled and committed.
func (m *Consumer) Good(s consumerState) bool {
	return s.highest == consumerFacts-1 && s.offset == s.n && s.seen == s.highest
}

// Next gives everything that may happen.
func (m *Consumer) Next(s consumerState, out *Steps[consumerState]) {
	m.journal(s, out)
	for i := range s.members {
		if !s.members[i].on {
			m.assigned(s, i, out)
			continue
		}
		t := s
		t.members[i] = member{}
		out.Fault(t, "member %c is killed", 'A'+i)
		for k := int8(1); k <= 2 && s.members[i].next+k <= s.n; k++ {
			m.handle(s, i, k, out)
		}
		m.commit(s, i, out)
	}
}

func (m *Consumer) journal(s consumerState, out *Steps[consumerState]) {
	for a := int8(0); a <= s.highest+1 && a < consumerFacts; a++ {
		t := s
		t.highest = max(s.highest, a)
		if s.n+1+consumerFacts-1-t.highest > consumerRoom {
			continue
		}
		t.journal[t.n] = a
		t.n++
		if t.highest == s.highest {
			out.Fault(t, "the journal takes source %d again", a)
		} else {
			out.Add(t, "", "the journal takes source %d", a)
		}
	}
}

// assigned is worker.begin: the group gives the partition on, where its owner is away or only paused.
func (m *Consumer) assigned(s consumerState, i int, out *Steps[consumerState]) {
	t := s
	t.owner = int8(i)
	t.members[i] = member{on: true, next: s.offset, highest: s.seen, last: none}
	if m.DropByID {
		t.members[i].highest = none
	}
	away := !s.members[s.owner].on
	if !away && s.stalls == 0 {
		return
	}
	if away {
		out.Add(t, "", "member %c begins at %d, highest source %d", 'A'+i, s.offset, s.seen)
		return
	}
	t.stalls--
	out.Fault(t, "member %c begins at %d, highest source %d, while the other is paused", 'A'+i, s.offset, s.seen)
}

// handle is worker.handle: Unseen leaves out what was seen, and the handler takes the rest.
func (m *Consumer) handle(s consumerState, i int, k int8, out *Steps[consumerState]) {
	t := s
	q := &t.members[i]
	if q.owes != 0 {
		if !m.CommitFirst {
			return
		}
		k = q.owes
	}
	bad := ""
	before := q.highest
	for at := q.next; at < q.next+k; at++ {
		f := s.journal[at]
		seen := f <= q.highest
		if m.ForgetInBatch {
			seen = f <= before
		}
		if m.DropByID {
			seen = f == q.last
		}
		if seen {
			continue
		}
		if bad == "" {
			bad = s.duplicate(at)
		}
		t.handled |= 1 << f
		q.highest, q.last = max(q.highest, f), f
	}
	q.next += k
	q.owes = 0
	out.Add(t, bad, "member %c handles journal offsets %d to %d", 'A'+i, q.next-k, q.next-1)
}

// duplicate: a record that stands in the journal before is handled as a new one.
func (s consumerState) duplicate(at int8) string {
	for _, f := range s.journal[:at] {
		if f >= s.journal[at] {
			return fmt.Sprintf("journal offset %d, a duplicate of source %d, is handled as something new", at, s.journal[at])
		}
	}
	return ""
}

// commit is worker.commit: offset and highest source together, refused by the group where it has moved on.
func (m *Consumer) commit(s consumerState, i int, out *Steps[consumerState]) {
	p := s.members[i]
	t := s
	if m.CommitApart && p.owes != 0 {
		t.seen, t.members[i].owes = p.highest, 0
		out.Add(t, "", "member %c commits the highest source %d", 'A'+i, p.highest)
		return
	}
	if int(s.owner) != i && !m.Unfenced {
		t.members[i] = member{}
		out.Add(t, "", "member %c wants to commit, and is told that the group has moved on", 'A'+i)
		return
	}
	next := p.next
	if m.CommitFirst && p.owes == 0 && next < s.n {
		next++
		t.members[i].owes = 1
	}
	t.offset, t.seen = next, p.highest
	switch {
	case m.NoMetadata:
		t.seen = none
	case m.CommitApart:
		t.seen, t.members[i].owes = s.seen, 1
	}
	bad := ""
	if next < s.offset {
		bad = fmt.Sprintf("the group's offset goes back from %d to %d", s.offset, next)
	}
	if t != s {
		out.Add(t, bad, "member %c commits offset %d, highest source %d", 'A'+i, next, t.seen)
	}
}
