package redisstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/services/issuer/partition"
	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

// The bytes are a short history, with all that its owners do and that can happen to Redis between two of their calls. After
// every change all keys are what the pure rules lead to. Fuzz it on the embedded Redis: COUPONTEST_SERVERS=embedded.
func FuzzStore_AgreesWithTheLog(f *testing.F) {
	f.Add([]byte("\x08\x00\x02\x00" + "\x00\x00\x01" + "\x00\x00\x02" + "\x00\x00\x03" + "\x0b"))
	f.Add([]byte("\x08\x01\x12\x00" + "\x00\x01\x01" + "\x0b" + "\x0a\x60" + "\x00\x01\x01" + "\x0b" + "\x0c" + "\x0b"))
	shared := newSpy(f, coupontest.Start(f, coupontest.Redis), 0, nil)
	f.Fuzz(func(t *testing.T, program []byte) {
		s := *shared
		s.t, s.world = t, partitiontest.NewWorld(0)
		s.Empty()
		s.world.Use(&s)
		m := &machine{spy: &s, program: program, now: start, clock: noon}
		m.run()
	})
}

type machine struct {
	*spy
	program []byte
	owners  [2]*partitiontest.Owner
	now     time.Time
	clock   fcfs.Millis
	saved   func()
}

// next is the next byte below n, 0 after the end.
func (m *machine) next(n int) int {
	if len(m.program) == 0 {
		return 0
	}
	b := int(m.program[0])
	m.program = m.program[1:]
	return b % n
}

const longest = 80 // records

func (m *machine) run() {
	m.owners[0] = partitiontest.NewOwner(m.world, 0, partition.Config{MaxBatch: 7, MaxEmit: 5})
	for len(m.program) > 0 && m.world.End < longest {
		m.step()
		m.noBreach()
	}
	m.settle()
	m.compare()
}

func (m *machine) noBreach() {
	m.t.Helper()
	for _, b := range m.world.Breaches {
		m.t.Fatal(b)
	}
}

func (m *machine) step() {
	switch op := m.next(16); op {
	case 7, 8:
		m.world.Append(0, partitiontest.Define(m.clock, m.definition()))
	case 9:
		if n := m.next(4); n == 0 {
			m.world.Append(1, partitiontest.RefuseNewer(m.clock))
		} else {
			m.world.Append(0, partitiontest.Refuse(m.clock, int64(n)))
		}
	case 10:
		m.clock += fcfs.Millis(m.next(256)-64) * 3600_000 / 2
	case 11:
		m.settle()
	case 12:
		m.Empty()
	case 13:
		if m.saved != nil {
			m.saved()
		}
		m.saved = m.Snapshot()
	case 14:
		m.act()
	case 15:
		m.world.Drop(m.world.Committed.Offset - int64(m.next(3)))
	default:
		m.world.Append(0, partitiontest.Claim(m.clock, m.coupon(), fmt.Sprint("u", m.next(9))))
	}
}

func (m *machine) coupon() string { return fmt.Sprint("c", m.next(4)) }

func (m *machine) definition() fcfs.Definition {
	d := fcfs.Definition{CouponID: m.coupon(), Limit: 1 + int64(m.next(5)), Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1}
	flags := m.next(256)
	if flags&1 != 0 {
		d.Window = fcfs.WindowDaily
	}
	if flags&2 != 0 {
		d.TimeZone = "Asia/Seoul"
	}
	if flags&4 != 0 {
		d.OpensAt = m.clock + fcfs.Millis(flags>>4)*3600_000
	}
	if flags&8 != 0 {
		d.ClosesAt = max(d.OpensAt, m.clock-24*3600_000) + fcfs.Millis(1+flags>>4)*2*3600_000
	}
	return d
}

// act lets one of two owners do the next of its actions, some of which fail before or after they took effect. The second
// one, and one that is started anew, is the group's owner then.
func (m *machine) act() {
	how := m.next(256)
	i := how & 1
	o := m.owners[i]
	switch {
	case o == nil:
		o = partitiontest.NewOwner(m.world, i, partition.Config{MaxBatch: 1 + how>>5})
		m.owners[i] = o
	case o.Crashed || o.Machine.Over():
		o.Restart()
	}
	for range 1 + how>>1&15 {
		m.now = m.now.Add(50 * time.Millisecond)
		o.Step(m.now)
		if len(o.Pending) > 0 {
			o.Do(0, partitiontest.None)
		}
		for o.Results() > 0 {
			o.Deliver(0)
		}
	}
	if how>>5 > 5 && len(o.Pending) > 0 {
		o.Do(0, partitiontest.Fault(how>>5-5)) // FailBefore, FailAfter
	}
}

func (m *machine) settle() {
	m.t.Helper()
	m.now = settle(m.t, m.owners[m.world.Owner], m.now)
}
