package model

import "fmt"

// Journal is the model of what an owner knows of the journal: the tail of services/issuer/partition/tail.go, which spares
// reading all of it (docs/adr/0001). issuer.go takes for granted that an owner knows the highest source; this model shows
// it, over any journal that issuer.go allows: runs of facts, each beginning at or below the first that is missing.
type Journal struct {
	JournalDesign
	Facts, Records int8 // of the log; in the journal at most
	Anew           int8 // how often the journal may lose what it acknowledged
}

// JournalDesign is the tail's design as switches. Zero is the design.
type JournalDesign struct {
	BelieveMark    bool // a tail is not compared with the journal before it is believed
	BelieveLonger  bool // one that reaches beyond the journal's end is not taken for a loss
	AppendAnywhere bool // an acknowledgement extends the tail, though others wrote between
	KeepLast       bool // the tail keeps the last source, not the highest
	MarkOfOthers   bool // an offset with somebody else's text is taken for a mark

	TrustAcknowledgement bool // one from below the tail's end is not taken for a loss
}

// tail is what is known of the journal up to next.
type tail struct{ next, highest, last int8 }

var unknown = tail{0, -1, -1}

var newcomer = journalOwner{knows: unknown, highest: none, emits: none, first: none}

const (
	journalRoom = 7
	none        = -1
)

type journalOwner struct {
	knows   tail // outlives a session
	reads   bool // it has begun a session
	highest int8 // as the session read it
	ended   int8 // where the journal ended then
	emits   int8 // a fact that is produced and not acknowledged; none
	first   int8 // where it landed; none
	warned  bool // the journal lacks what was known of it
}

type journalState struct {
	journal [journalRoom]int8
	n       int8
	mark    tail // of the group's commit
	owners  [2]journalOwner
	owner   int8 // in the group's eyes
	anew    int8
	missed  bool // records are gone that the commit's mark speaks of
}

// Init is an empty journal.
func (m *Journal) Init() journalState {
	return journalState{mark: unknown, owners: [2]journalOwner{newcomer, newcomer}, anew: m.Anew}
}

// Bad: an owner has read the journal, and takes another source for the highest; or goes on with one that lacks what it
// acknowledged.
func (m *Journal) Bad(s journalState) string {
	for i, o := range s.owners {
		if !o.reads || o.warned || s.missed {
			continue
		}
		if want := s.upTo(o.ended); o.highest != want {
			return fmt.Sprintf("%c takes %d for the highest source of the journal's first %d records, it is %d", 'A'+i, o.highest, o.ended, want)
		}
	}
	return ""
}

func (s journalState) upTo(end int8) int8 {
	highest := int8(none)
	for _, source := range s.journal[:end] {
		highest = max(highest, source)
	}
	return highest
}

// Good: all facts are there; or records are missing, and somebody says so.
func (m *Journal) Good(s journalState) bool {
	if s.missed {
		return s.owners[s.owner].warned
	}
	return s.upTo(s.n) == m.Facts-1
}

// Next gives everything that may happen.
func (m *Journal) Next(s journalState, out *Steps[journalState]) {
	for i := range s.owners {
		m.read(s, i, out)
		m.emit(s, i, out)
		m.commit(s, i, out)
		t := s
		t.owner, t.owners[i] = int8(i), newcomer
		out.Add(t, "", "the group gives the partition to %c, which knows nothing", 'A'+i)
	}
	m.lose(s, out)
}

// read is a new session: it begins to read the journal where it is known up to, if that is still the same journal.
func (m *Journal) read(s journalState, i int, out *Steps[journalState]) {
	t := s
	o := &t.owners[i]
	o.emits, o.first, o.warned = none, none, false
	known, compare := unknown, false
	for _, k := range [...]tail{o.knows, s.mark} {
		o.warned = o.warned || k.next > s.n && !m.BelieveLonger
		if k.next <= s.n && k.next > known.next {
			known, compare = k, true
		}
	}
	if compare && !m.BelieveMark && s.journal[known.next-1] != known.last {
		o.warned, known = true, unknown
	}
	for _, source := range s.journal[known.next:s.n] {
		known.last = source
		known.highest = m.higher(known.highest, source)
	}
	known.next = s.n
	o.reads, o.highest, o.ended = true, known.highest, s.n
	if !o.warned {
		o.knows = known
	}
	out.Add(t, "", "%c reads the journal to its end %d: highest source %d, warned %v", 'A'+i, s.n, o.highest, o.warned)
}

func (m *Journal) higher(highest, source int8) int8 {
	if m.KeepLast {
		return source
	}
	return max(highest, source)
}

// emit lands a fact, of whatever the owner has in its outbox, and acknowledges it.
func (m *Journal) emit(s journalState, i int, out *Steps[journalState]) {
	o := s.owners[i]
	if o.first != none {
		t := s
		q := &t.owners[i]
		switch {
		case o.first < o.knows.next && !m.TrustAcknowledgement:
			q.reads = false // the journal is shorter than it was: read it again
		case o.first == o.knows.next || m.AppendAnywhere:
			q.knows = tail{o.first + 1, m.higher(o.knows.highest, o.emits), o.emits}
		}
		q.emits, q.first = none, none
		out.Add(t, "", "%c gets the acknowledgement of source %d at %d", 'A'+i, o.emits, o.first)
		return
	}
	if s.n == m.Records || !o.reads || o.warned {
		return
	}
	for f := int8(0); f < m.Facts; f++ {
		if !m.mayLand(s, i, f) {
			continue
		}
		t := s
		t.journal[t.n] = f
		t.owners[i].emits, t.owners[i].first = f, t.n
		t.n++
		out.Add(t, "", "the journal takes source %d of %c at %d", f, 'A'+i, s.n)
	}
}

// mayLand: runs begin at or below the first fact that is missing, and there has to be room for what is. Where records were
// lost, what was acknowledged is emitted by nobody again, and only the owner writes: if a paused one wrote just as many
// records as are missing before it does, nobody could tell.
func (m *Journal) mayLand(s journalState, i int, f int8) bool {
	highest := s.upTo(s.n)
	switch {
	case s.missed:
		return f > s.mark.highest && int(s.owner) == i
	case f > highest:
		return f == highest+1
	}
	return s.n+m.Facts-1-highest < m.Records
}

// commit puts the tail into the group's mark; a tool of somebody's may set the offset, with a text of its own.
func (m *Journal) commit(s journalState, i int, out *Steps[journalState]) {
	if o := s.owners[i]; int(s.owner) == i && o.reads && o.knows != s.mark && !o.warned {
		t := s
		t.mark = o.knows
		out.Add(t, "", "%c commits, with the mark %d (highest %d, last %d)", 'A'+i, o.knows.next, o.knows.highest, o.knows.last)
	}
	if i == 0 && m.MarkOfOthers {
		t := s
		t.mark = tail{s.n, -1, s.journal[max(s.n, 1)-1]}
		out.Fault(t, "the group's offset is set by hand, with a text")
	}
}

// lose: the journal is made anew or cut short, though the commit speaks of what was in it.
func (m *Journal) lose(s journalState, out *Steps[journalState]) {
	if s.anew == 0 || s.missed {
		return
	}
	for n := int8(0); n < s.mark.next; n++ {
		t := s
		t.anew--
		t.missed = true
		t.n = n
		clear(t.journal[n:])
		out.Fault(t, "the journal loses its records from %d on", n)
	}
}
