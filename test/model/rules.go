package model

import "fmt"

// The rules of internal/fcfs, as small as they can be for one coupon: people are few, times are single digits, and a
// window is only a mark that must not change once something was granted. purity.go is about the rest.

const (
	people = 3
	keep   = 2 // a coupon is retired so long (of log time) after it closed
)

// Record is one record of the requests log.
type Record struct {
	kind                          kind
	user, limit, window, closesAt int8 // closesAt 0: never
	time                          int8 // append time
}

type kind int8

const (
	aClaim kind = iota
	aDefinition
	aStranger // a claim of a coupon that nobody defined
	aDamage   // cannot be read: a dead letter
)

func define(limit int8) Record { return Record{kind: aDefinition, limit: limit} }
func claim(user int8) Record   { return Record{user: user - 1} }
func stranger() Record         { return Record{kind: aStranger} }
func damage() Record           { return Record{kind: aDamage} }

func (r Record) at(time int8) Record   { r.time = time; return r }
func (r Record) closes(at int8) Record { r.closesAt = at; return r }
func (r Record) daily() Record         { r.window = 1; return r }

// String tells what was asked.
func (r Record) String() string {
	switch r.kind {
	case aClaim:
		return fmt.Sprintf("claim u%d%s", r.user+1, clock(" t", r.time))
	case aStranger:
		return "claim of another coupon" + clock(" t", r.time)
	case aDamage:
		return "damaged record"
	}
	w := ""
	if r.window == 1 {
		w = " daily"
	}
	return fmt.Sprintf("define limit %d%s%s%s", r.limit, w, clock(" closes t", r.closesAt), clock(" t", r.time))
}

func clock(before string, time int8) string {
	if time == 0 {
		return ""
	}
	return fmt.Sprint(before, time)
}

// Outcome of a record.
type Outcome int8

// The outcomes, in the words of docs/design.md.
const (
	Granted Outcome = iota
	AlreadyIssued
	SoldOut
	Closed
	UnknownCoupon
	Changed // or created
	Conflict
	Retired
	Invalid
)

var outcomes = [...]string{"granted", "already_issued", "sold_out", "closed", "unknown_coupon", "changed", "conflict", "retired", "invalid"}

// String is the outcome's name.
func (o Outcome) String() string { return outcomes[o] }

// Fact is a journal record. A request leads to at most one.
type Fact struct {
	source, logTime int8
	grant           bool
	user, sequence  int8 // of a grant
}

// String tells the fact.
func (f Fact) String() string {
	if f.grant {
		return fmt.Sprintf("u%d's grant #%d of %d", f.user+1, f.sequence, f.source)
	}
	return fmt.Sprintf("the definition of %d", f.source)
}

// Coupon is what Redis holds of the coupon, and the log time beside progress.
type Coupon struct {
	defined int8 // offset of the definition in force + 1; 0: none
	granted int8
	holds   [people]int8 // offset of the grant + 1; 0: none
	logTime int8
}

func (c Coupon) retired(d Record) bool { return d.closesAt != 0 && c.logTime >= d.closesAt+keep }

// Log is the requests log, and what it leads to: the only truth.
type Log struct {
	records  []Record
	states   []Coupon // states[k]: after the first k records
	outcomes []Outcome
	facts    []Fact // the journal as it has to be
	first    []int8 // first[o]: how many facts have a source below o
}

func newLog(records ...Record) *Log {
	l := &Log{records: records, states: []Coupon{{}}}
	for i := range records {
		l.first = append(l.first, int8(len(l.facts)))
		c := l.states[i]
		next, outcome, fact := l.decide(c, int8(i), l.definition(c.defined))
		l.states, l.outcomes = append(l.states, next), append(l.outcomes, outcome)
		if fact != nil {
			l.facts = append(l.facts, *fact)
		}
	}
	l.first = append(l.first, int8(len(l.facts)))
	return l
}

func (l *Log) end() int8 { return int8(len(l.records)) }

// source of a fact, -1 before the first one.
func (l *Log) source(fact int8) int8 {
	if fact < 0 {
		return -1
	}
	return l.facts[fact].source
}

// definition is the record of a Coupon's defined; none where that is 0.
func (l *Log) definition(defined int8) Record {
	if defined == 0 {
		return Record{}
	}
	return l.records[defined-1]
}

// decide is the pure rule for the record at an offset, after the state c, by the definition d (if there is one).
func (l *Log) decide(c Coupon, offset int8, d Record) (Coupon, Outcome, *Fact) {
	r := l.records[offset]
	c.logTime = max(c.logTime, r.time)
	known := d.kind == aDefinition
	retired := known && c.retired(d)
	if retired {
		c.holds = [people]int8{}
	}
	fact := &Fact{source: offset, logTime: c.logTime}
	switch {
	case r.kind == aDamage:
		return c, Invalid, nil
	case r.kind == aStranger || r.kind == aClaim && !known:
		return c, UnknownCoupon, nil
	case r.kind == aDefinition && retired:
		return c, Retired, nil
	case r.kind == aDefinition && known && c.granted > 0 && r.window != d.window:
		return c, Conflict, nil
	case r.kind == aDefinition:
		c.defined = offset + 1
		return c, Changed, fact
	case retired || d.closesAt != 0 && r.time >= d.closesAt:
		return c, Closed, nil
	case c.holds[r.user] != 0:
		return c, AlreadyIssued, nil
	case c.granted >= d.limit:
		return c, SoldOut, nil
	}
	c.granted++
	c.holds[r.user] = offset + 1
	fact.grant, fact.user, fact.sequence = true, r.user, c.granted
	return c, Granted, fact
}

// restore takes a journal fact into a state, as a rebuild does.
func (l *Log) restore(c Coupon, f Fact) Coupon {
	c.logTime = max(c.logTime, f.logTime)
	if !f.grant {
		c.defined = f.source + 1
	} else {
		c.granted = f.sequence
		c.holds[f.user] = f.source + 1
	}
	if c.retired(l.definition(c.defined)) {
		c.holds = [people]int8{}
	}
	return c
}
