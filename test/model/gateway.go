package model

import "fmt"

// Gateway is the model of what one gateway tells: about claims (verdict/verdict.go, waiters.go, watch.go of services/gateway), at
// the door and about coupons (internal/redisstore/desk.lua). Redis at progress p is what the log up to p leads to, which
// issuer.go shows; it may be emptied, rewound, or failed over to a replica that lags, which all look the same from here:
// its progress goes back.
type Gateway struct {
	*Log
	GatewayDesign
	Waits int8 // offset of the claim whose person waits for the outcome
	GatewayFaults
}

// GatewayDesign is the gateway's design as switches. Zero is the design.
type GatewayDesign struct {
	ProgressFirst bool // progress and the person's entry are read by two calls, progress first
	EntryFirst    bool // ... the entry first
	AnyEntry      bool // already_issued, whenever the person holds a grant of another offset
	NewestRules   bool // a claim is judged by the definition in force now
	IgnoreRetired bool // a window whose people were dropped is judged like any other
	IgnoreHeard   bool // whoever is at the door is refused by any state of Redis
	LastHeard     bool // heard is what the last message said, not the highest
	DeafAtStart   bool // a gateway that starts has heard nothing
	MissingIsNone bool // a coupon that a Redis without progress does not know is unknown
	BusOnly       bool // who waits is woken by messages alone: nobody looks at progress
	LookThenWait  bool // ... and looks before getting in line, not after
}

// GatewayFaults is how often each may happen.
type GatewayFaults struct{ Back, Miss, Restart int8 }

type waiting int8

const (
	away    waiting = iota
	looking         // in line, and about to look; LookThenWait: about to get in line
	inLine
	woken
	answered
)

type gatewayState struct {
	progress int8 // of Redis
	heard    int8 // the highest progress that this gateway knows of
	told     int8 // the highest progress that anybody was told from, by this gateway or the one before it
	messages uint8
	wait     waiting
	reading  bool // between two calls
	claim    int8 // what is read about
	read     int8 // what was read of it: progress, or the entry
	left     GatewayFaults
}

// Init is a new log: nothing was ever in it.
func (m *Gateway) Init() gatewayState {
	return gatewayState{progress: -1, heard: -1, told: -1, left: m.GatewayFaults}
}

// Bad is nothing: what is promised here is promised of answers.
func (m *Gateway) Bad(gatewayState) string { return "" }

// Good: all is decided, and the person who waited has the answer.
func (m *Gateway) Good(s gatewayState) bool {
	return s.progress == m.end()-1 && s.wait == answered && !s.reading
}

// Next gives everything that may happen.
func (m *Gateway) Next(s gatewayState, out *Steps[gatewayState]) {
	m.redis(s, out)
	m.hear(s, out)
	m.restart(s, out)
	m.await(s, out)
	if s.reading {
		m.secondRead(s, out)
		return
	}
	for o := int8(0); o < m.end(); o++ {
		if m.records[o].kind == aClaim {
			m.status(s, o, out)
			m.door(s, o, out)
		}
	}
	m.coupon(s, out)
}

func (m *Gateway) redis(s gatewayState, out *Steps[gatewayState]) {
	if s.progress < m.end()-1 {
		t := s
		t.progress++
		t.messages |= 1 << t.progress
		out.Add(t, "", "Redis moves to progress %d, and a message says so", t.progress)
	}
	for p := int8(-1); p < s.progress && s.left.Back > 0; p++ {
		t := s
		t.progress = p
		t.left.Back--
		out.Fault(t, "Redis goes back to progress %d", p)
	}
}

// hear is Service.heard: messages come late, in any order, or never.
func (m *Gateway) hear(s gatewayState, out *Steps[gatewayState]) {
	for p := int8(0); p < m.end(); p++ {
		if s.messages&(1<<p) == 0 {
			continue
		}
		t := s
		t.messages &^= 1 << p
		if s.left.Miss > 0 {
			u := t
			u.left.Miss--
			out.Fault(u, "the message of progress %d is lost", p)
		}
		m.progressed(&t, p)
		if m.LastHeard {
			t.heard = p
		}
		out.Add(t, "", "the gateway hears of progress %d", p)
	}
}

// progressed is Service.progressed: heard never goes back, and who waits for an offset up to there is woken.
func (m *Gateway) progressed(s *gatewayState, p int8) {
	s.heard = max(s.heard, p)
	if s.wait == inLine && p >= m.Waits {
		s.wait = woken
	}
}

// restart is loadPartitions: whatever is in the log may have been told by the one before.
func (m *Gateway) restart(s gatewayState, out *Steps[gatewayState]) {
	if s.left.Restart == 0 {
		return
	}
	t := s
	t.left.Restart--
	t.heard, t.messages, t.wait, t.reading, t.claim, t.read = m.end()-1, 0, away, false, 0, 0
	if m.DeafAtStart {
		t.heard = -1
	}
	out.Fault(t, "the gateway is another process now, and has heard of %d", t.heard)
}

// status is Service.look: heard is taken first, then one atomic read is judged.
func (m *Gateway) status(s gatewayState, o int8, out *Steps[gatewayState]) {
	t := s
	switch {
	case m.ProgressFirst:
		t.reading, t.claim, t.read = true, o, s.progress
		out.Add(t, "", "for the claim of %d the gateway reads progress %d", o, s.progress)
	case m.EntryFirst:
		t.reading, t.claim, t.read = true, o, m.entry(s, o)
		out.Add(t, "", "for the claim of %d the gateway reads the entry: offset %d", o, t.read-1)
	default:
		bad, final := m.judge(s, o, s.progress, m.entry(s, o))
		m.tell(&t, o, final)
		out.Add(t, bad, "for the claim of %d the gateway reads progress %d and the entry: offset %d", o, s.progress, m.entry(s, o)-1)
	}
}

func (m *Gateway) secondRead(s gatewayState, out *Steps[gatewayState]) {
	t := s
	t.reading, t.claim, t.read = false, 0, 0
	progress, entry := s.read, m.entry(s, s.claim)
	if m.EntryFirst {
		progress, entry = s.progress, s.read
	}
	bad, final := m.judge(s, s.claim, progress, entry)
	m.tell(&t, s.claim, final)
	out.Add(t, bad, "the gateway reads the rest: progress %d, the entry of offset %d", progress, entry-1)
}

// tell notes that something was told of an offset, and what a read makes heard.
func (m *Gateway) tell(t *gatewayState, o int8, final bool) {
	if final {
		t.told = max(t.told, o)
	}
	t.heard = max(t.heard, t.progress)
}

func (m *Gateway) entry(s gatewayState, o int8) int8 {
	return m.states[s.progress+1].holds[m.records[o].user]
}

// judge is verdict.Judge. It gives what is wrong with the answer, and whether it is a final one.
func (m *Gateway) judge(s gatewayState, o, progress, entry int8) (bad string, final bool) {
	if progress < o || progress < s.heard && !m.IgnoreHeard {
		return "", false // pending
	}
	told := m.verdict(m.states[progress+1], o, entry)
	if told == Retired && m.states[progress+1].retired(m.definition(m.states[progress+1].defined)) {
		return "", true // 410: ask the ledger
	}
	if want := m.outcomes[o]; told != want {
		return fmt.Sprintf("the claim of %d is told %v, by the log it is %v", o, told, want), true
	}
	return "", true
}

func (m *Gateway) verdict(c Coupon, o, entry int8) Outcome {
	d := m.definition(m.states[o].defined)
	if m.NewestRules {
		d = m.definition(c.defined)
	}
	switch {
	case d.kind != aDefinition:
		return UnknownCoupon
	case c.retired(m.definition(c.defined)) && !m.IgnoreRetired:
		return Retired
	case entry == o+1:
		return Granted
	case d.closesAt != 0 && m.records[o].time >= d.closesAt:
		return Closed
	case entry != 0 && (entry < o+1 || m.AnyEntry):
		return AlreadyIssued
	}
	return SoldOut
}

// door is call.admit of desk.lua, for a person who comes now: refused by one atomic read that is not older than heard, else
// let through to the log, which is no answer.
func (m *Gateway) door(s gatewayState, o int8, out *Steps[gatewayState]) {
	if s.progress < s.heard && !m.IgnoreHeard {
		return
	}
	c := m.states[s.progress+1]
	d := m.definition(c.defined)
	if c.defined != 0 && c.holds[m.records[o].user] == 0 && c.granted < d.limit {
		return
	}
	m.tells(s, out, "u%d is refused at the door, by the state at progress %d", m.records[o].user+1)
}

// coupon is Service.read: 503 from a state older than heard, else what the coupon is, or that there is none.
func (m *Gateway) coupon(s gatewayState, out *Steps[gatewayState]) {
	old := s.progress < s.heard && !m.IgnoreHeard
	if m.MissingIsNone && s.progress < 0 {
		old = false
	}
	if !old {
		m.tells(s, out, "somebody (%d) reads the coupon at progress %d", 0)
	}
}

// tells gives an answer from all of a state. One that is older than what somebody was told from contradicts it.
func (m *Gateway) tells(s gatewayState, out *Steps[gatewayState], format string, who int8) {
	bad := ""
	if s.progress < s.told {
		bad = fmt.Sprintf("is told from progress %d, though somebody was told what came of offset %d", s.progress, s.told)
	}
	t := s
	t.told, t.heard = max(s.told, s.progress), max(s.heard, s.progress)
	if t != s || bad != "" {
		out.Add(t, bad, format, who, s.progress)
	}
}

// await is Service.await: in line first, then a look, then to be woken by a message or by who looks at progress.
func (m *Gateway) await(s gatewayState, out *Steps[gatewayState]) {
	t := s
	switch s.wait {
	case away:
		t.wait = looking
		out.Add(t, "", "a person asks for the outcome of %d", m.Waits)
	case looking:
		t.wait = inLine
		if s.heard >= m.Waits && !m.LookThenWait {
			m.answer(s, t, out)
			return
		}
		out.Add(t, "", "the person gets in line")
	case inLine:
		if !m.BusOnly {
			m.progressed(&t, s.progress)
			out.Add(t, "", "the gateway looks at progress %d for those in line", s.progress)
		}
	case woken:
		t.wait = inLine
		m.answer(s, t, out)
	}
}

func (m *Gateway) answer(s, t gatewayState, out *Steps[gatewayState]) {
	bad, final := m.judge(s, m.Waits, s.progress, m.entry(s, m.Waits))
	m.tell(&t, m.Waits, final)
	if final {
		t.wait = answered
	}
	out.Add(t, bad, "the person in line is told what progress %d says, final: %v", s.progress, final)
}
