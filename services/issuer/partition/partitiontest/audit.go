package partitiontest

import (
	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// audit sees whether a batch says about the state what the state says: the script believes it.
func (s *Store) audit(b *partition.Batch) {
	w := s.world
	for _, g := range b.Groups {
		c := s.state.Coupon(g.CouponID)
		if c == nil || c.Current().Limit != g.Limit {
			w.breach("progress %d: a batch has the wrong definition of %s", s.progress.Offset, g.CouponID)
			continue
		}
		if g.SoldOut && c.Count(g.Day) < g.Limit {
			w.breach("progress %d: a batch takes %s for sold out, which has %d of %d", s.progress.Offset, g.CouponID, c.Count(g.Day), g.Limit)
		}
		if drop, _ := c.Current().DropAt(g.Day); g.Day != "" && drop != g.DropAt {
			w.breach("progress %d: a batch drops %s of %s at %d, not at %d", s.progress.Offset, g.Day, g.CouponID, g.DropAt, drop)
		}
	}
	if b.Define != nil {
		s.auditDefinition(b.Define, b.Next.LogTime)
	}
	logTime := s.progress.LogTime
	for _, q := range b.Requests() {
		if q.Last > b.Expected.Offset {
			logTime = max(logTime, q.Time)
			break
		}
	}
	s.auditDrops(b.Drops, logTime, b.Next.LogTime)
}

func (s *Store) auditDefinition(d *partition.Define, logTime fcfs.Millis) {
	next, count, frozen := *d.Fact.Defined, 1, false
	if c := s.state.Coupon(next.CouponID); c != nil {
		count = len(c.Definitions()) + 1
		frozen = c.Current().Window != next.Window || c.Current().TimeZone != next.TimeZone
	}
	drop := fcfs.Millis(0)
	if next.Window == fcfs.WindowNone {
		drop, _ = next.DropAt("")
	}
	if d.Count != count || d.Frozen != frozen || d.DropAt != drop || d.Drop != (drop != 0 && drop <= logTime) {
		s.world.breach("progress %d: a batch has a definition of %s as %+v", s.progress.Offset, next.CouponID, d)
	}
}

// auditDrops: what is due at the first log time of a piece is dropped by it, and nothing falls due within it.
func (s *Store) auditDrops(drops []partition.Window, first, last fcfs.Millis) {
	given := map[partition.Window]bool{}
	for _, w := range drops {
		given[w] = true
	}
	for id, c := range s.state.Coupons() {
		for _, w := range WindowsOf(id, c, s.state.LogTime()) {
			at, _ := c.Current().DropAt(w.Day)
			if due := at <= first; due != given[w] || !due && at <= last {
				s.world.breach("progress %d: %v is due at %d, and log time goes from %d to %d, dropped: %v", s.progress.Offset, w, at, first, last, given[w])
			}
		}
	}
}
