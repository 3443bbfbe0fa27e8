package model

import "fmt"

// Ledger is the model of two ledgers, one of them possibly stale, and a Postgres that may be restored, over any journal
// that issuer.go allows: services/ledger/posting over services/ledger/internal/postgres.
type Ledger struct {
	LedgerDesign
	Restore, Lose, Anew int8 // of Postgres; of a transaction's answer; the journal is made anew
}

// LedgerDesign is the ledger's design as switches. Zero is the design.
type LedgerDesign struct {
	NoCompare    bool // the transaction does not compare the row
	RowsFirst    bool // ... compares it after it has written
	Apart        bool // the row is moved by a transaction of its own
	FromGroup    bool // it begins at the group's offset, not at its row
	HighInMemory bool // the highest source is not in the row
	HighFromRows bool // ... but taken from the highest grant
	DropByID     bool // a duplicate is what has the id of the record before it
	NoIdleLook   bool // with nothing new in the journal, nobody looks at the row
	NoCheck      bool // nobody looks whether the journal is the one that the row speaks of
}

const (
	ledgerFacts = 3 // a grant, and two definitions of another coupon
	ledgerRoom  = 6
)

func isGrant(fact int8) bool { return fact == 0 }

// postgres is what is committed.
type postgres struct {
	next, highest int8 // the partition's row
	rows          [ledgerFacts]bool
	defined       int8 // the definition shown last
}

// ledgerProcess is where a ledger believes the row to be.
type ledgerProcess struct {
	on            bool
	next, highest int8
	last          int8 // DropByID: the record before
	owes          bool // Apart: the row is still to be moved
}

type ledgerState struct {
	journal   [ledgerRoom]int8
	n         int8
	highest   int8
	db, saved postgres
	hasSaved  bool
	ledgers   [2]ledgerProcess
	group     int8
	restore   int8
	lose      int8
	anew      int8
	other     bool // the journal is another
	refuses   bool // and a ledger has said so
}

// Init is an empty journal and an empty database.
func (m *Ledger) Init() ledgerState {
	empty := postgres{highest: none, defined: none}
	return ledgerState{highest: none, db: empty, saved: empty, restore: m.Restore, lose: m.Lose, anew: m.Anew}
}

// Bad: Postgres is not what the journal up to the row says.
func (m *Ledger) Bad(s ledgerState) string {
	if s.other || s.ledgers[0].owes || s.ledgers[1].owes {
		return ""
	}
	want := postgres{next: s.db.next, highest: none, defined: none}
	for _, f := range s.journal[:s.db.next] {
		if f > want.highest {
			want.highest, want.rows[f] = f, true
			if !isGrant(f) {
				want.defined = f
			}
		}
	}
	if want.rows != s.db.rows || want.defined != s.db.defined {
		return fmt.Sprintf("Postgres at journal offset %d has %v and definition %d, the journal says %v and %d",
			s.db.next, s.db.rows, s.db.defined, want.rows, want.defined)
	}
	return ""
}

// Good: all of the journal is in Postgres; or the journal is another, and a ledger says so.
func (m *Ledger) Good(s ledgerState) bool {
	return s.refuses || !s.other && s.highest == ledgerFacts-1 && s.db.next == s.n
}

// Next gives everything that may happen.
func (m *Ledger) Next(s ledgerState, out *Steps[ledgerState]) {
	m.journal(s, out)
	for i := range s.ledgers {
		if !s.ledgers[i].on {
			m.begin(s, i, out)
			continue
		}
		t := s
		t.ledgers[i] = ledgerProcess{}
		out.Fault(t, "ledger %c stops", 'A'+i)
		m.idle(s, i, out)
		for k := int8(1); k <= 2 && s.ledgers[i].next+k <= s.n; k++ {
			m.handle(s, i, k, out)
		}
	}
	m.databaseFaults(s, out)
}

// journal takes runs of one or two facts, and keeps room for what has still to come.
func (m *Ledger) journal(s ledgerState, out *Steps[ledgerState]) {
	for a := int8(0); a <= s.highest+1 && a < ledgerFacts && !s.other; a++ {
		for k := int8(1); k <= 2 && a+k <= ledgerFacts; k++ {
			t := s
			t.highest = max(s.highest, a+k-1)
			if s.n+k+ledgerFacts-1-t.highest > ledgerRoom {
				continue
			}
			for f := a; f < a+k; f++ {
				t.journal[t.n] = f
				t.n++
			}
			if t.highest == s.highest {
				out.Fault(t, "the journal takes facts %d to %d again", a, a+k-1)
			} else {
				out.Add(t, "", "the journal takes facts %d to %d", a, a+k-1)
			}
		}
	}
}

// begin is handler.Assigned: at the row, if the journal is the one that it speaks of.
func (m *Ledger) begin(s ledgerState, i int, out *Steps[ledgerState]) {
	t := s
	if s.other && s.db.next > 0 && !m.NoCheck {
		t.refuses = true
		out.Add(t, "", "ledger %c finds another journal, says so and waits", 'A'+i)
		return
	}
	next, highest := min(s.db.next, s.n), s.db.highest
	if m.FromGroup {
		next = s.group
	}
	switch {
	case m.HighInMemory || m.DropByID:
		highest = none
	case m.HighFromRows:
		highest = none
		if s.db.rows[0] {
			highest = 0
		}
	}
	t.ledgers[i] = ledgerProcess{on: true, next: next, highest: highest, last: none}
	out.Add(t, "", "ledger %c begins at journal offset %d, highest source %d", 'A'+i, next, highest)
}

// idle is handler.Idle.
func (m *Ledger) idle(s ledgerState, i int, out *Steps[ledgerState]) {
	p := s.ledgers[i]
	if p.owes {
		t := s
		t.db.next, t.db.highest, t.group, t.ledgers[i].owes = p.next, p.highest, p.next, false
		out.Add(t, "", "ledger %c moves the row to %d", 'A'+i, p.next)
	}
	if p.next == s.n && s.db.next != p.next && !m.NoIdleLook && !p.owes {
		t := s
		t.ledgers[i] = ledgerProcess{}
		out.Add(t, "", "ledger %c, idle, finds the row at %d instead of %d, and begins again", 'A'+i, s.db.next, p.next)
	}
}

// handle is handler.Handle: one transaction, which compares the row before anything else.
func (m *Ledger) handle(s ledgerState, i int, k int8, out *Steps[ledgerState]) {
	p := s.ledgers[i]
	t := s
	q := &t.ledgers[i]
	stale := s.db.next != p.next
	if p.owes {
		return
	}
	if stale && !m.NoCompare && !m.RowsFirst {
		*q = ledgerProcess{}
		out.Add(t, "", "ledger %c: the row is at %d, not %d: nothing is written, it begins again", 'A'+i, s.db.next, p.next)
		return
	}
	bad := m.write(&t, q, s.journal[p.next:p.next+k])
	if stale && m.RowsFirst && bad == "" {
		t = s
		t.ledgers[i] = ledgerProcess{}
		out.Add(t, "", "ledger %c: the row has moved, all is rolled back", 'A'+i)
		return
	}
	if s.other && s.db.next > 0 && bad == "" {
		bad = "Postgres becomes a mixture of two journals"
	}
	q.next = p.next + k
	if m.Apart {
		q.owes = true
		out.Add(t, bad, "ledger %c writes journal offsets %d to %d", 'A'+i, p.next, q.next-1)
		return
	}
	t.db.next, t.db.highest, t.group = q.next, q.highest, q.next
	out.Add(t, bad, "ledger %c writes journal offsets %d to %d (facts %d) and its row", 'A'+i, p.next, q.next-1, s.journal[p.next:p.next+k])
	if s.lose > 0 {
		t.lose--
		t.ledgers[i] = p // it asks again, and finds the row moved
		out.Fault(t, "ledger %c writes journal offsets %d to %d, and does not know it", 'A'+i, p.next, p.next+k-1)
	}
}

// write drops the duplicates, and gives what the unique rules refuse.
func (m *Ledger) write(t *ledgerState, q *ledgerProcess, facts []int8) (bad string) {
	for _, f := range facts {
		if m.DropByID && f == q.last || !m.DropByID && f <= q.highest {
			continue
		}
		q.highest, q.last = max(q.highest, f), f
		if isGrant(f) && t.db.rows[f] {
			bad = fmt.Sprintf("false alarm: the grant of source %d breaks the unique rules and goes to the dead letters", f)
		}
		t.db.rows[f] = true
		if !isGrant(f) {
			t.db.defined = f
		}
	}
	return bad
}

func (m *Ledger) databaseFaults(s ledgerState, out *Steps[ledgerState]) {
	if s.restore > 0 && (!s.hasSaved || s.saved != s.db) {
		t := s
		t.saved, t.hasSaved = s.db, true
		out.Fault(t, "(Postgres at %d is backed up)", s.db.next)
	}
	if s.restore > 0 && s.hasSaved && s.saved != s.db {
		t := s
		t.db = s.saved
		t.restore--
		out.Fault(t, "Postgres is restored to %d", t.db.next)
	}
	if s.anew > 0 && !s.ledgers[0].on && !s.ledgers[1].on && s.db.next > 0 {
		for n := int8(0); n <= ledgerRoom; n++ {
			t := s
			t.anew--
			t.other, t.n = true, n
			out.Fault(t, "the journal is made anew, with %d records", n)
		}
	}
}
