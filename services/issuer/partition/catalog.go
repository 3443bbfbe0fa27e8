package partition

import (
	"fmt"
	"slices"

	"github.com/firstcome/firstcome/internal/fcfs"
)

// catalog is what an owner has in memory of the store: the definitions in force at the tip, which is the progress that
// all batches given out so far will have led to, and the windows that are to be dropped. It is never ahead in anything
// but drops and days, neither of which harms if the batch then changes nothing: the session ends, and this with it.
type catalog struct {
	coupons  map[string]*Defined
	windows  map[Window]fcfs.Millis
	nextDrop fcfs.Millis // nothing in windows is due before; 0: nothing at all
	soldOut  map[Window]bool
}

func newCatalog() *catalog {
	return &catalog{coupons: map[string]*Defined{}, windows: map[Window]fcfs.Millis{}, soldOut: map[Window]bool{}}
}

func (c *catalog) add(page []Defined) {
	for i := range page {
		c.coupons[page[i].CouponID] = &page[i]
	}
}

// keep remembers a window to be dropped.
func (c *catalog) keep(w Window, at fcfs.Millis) {
	c.windows[w] = at
	if c.nextDrop == 0 || at < c.nextDrop {
		c.nextDrop = at
	}
}

func (c *catalog) dropsAt(logTime fcfs.Millis) bool { return c.nextDrop != 0 && logTime >= c.nextDrop }

// due gives the windows to be dropped at a log time, and forgets them.
func (c *catalog) due(logTime fcfs.Millis) []Window {
	if !c.dropsAt(logTime) {
		return nil
	}
	var drops []Window
	c.nextDrop = 0
	for w, at := range c.windows {
		if at <= logTime {
			drops = append(drops, w)
			delete(c.windows, w)
			delete(c.soldOut, w)
		} else if c.nextDrop == 0 || at < c.nextDrop {
			c.nextDrop = at
		}
	}
	slices.SortFunc(drops, compareWindows)
	return drops
}

func compareWindows(a, b Window) int {
	switch {
	case a.CouponID != b.CouponID:
		if a.CouponID < b.CouponID {
			return -1
		}
		return 1
	case a.Day < b.Day:
		return -1
	case a.Day > b.Day:
		return 1
	}
	return 0
}

// redefine decides about a definition as far as that can be told from definitions alone: either it has an outcome, or the
// store has the last word.
func (c *catalog) redefine(f fcfs.Fact) (*Define, fcfs.Outcome) {
	next := *f.Defined
	d := &Define{Fact: f, Count: 1}
	if old := c.coupons[next.CouponID]; old != nil {
		// As if nothing was issued, which leaves Conflict to the store: it goes before Invalid.
		if outcome := fcfs.Redefine(&old.Definition, 0, false, next, f.LogTime); outcome != fcfs.Changed {
			return nil, outcome
		}
		d.Frozen = fcfs.Redefine(&old.Definition, 0, true, next, f.LogTime) == fcfs.Conflict
		d.Full = fcfs.Redefine(&old.Definition, old.Count, false, next, f.LogTime) == fcfs.Invalid
		d.Count = old.Count + 1
	}
	if next.Window == fcfs.WindowNone {
		d.DropAt, _ = next.DropAt("")
		d.Drop = d.DropAt != 0 && f.LogTime >= d.DropAt
	}
	return d, fcfs.None
}

// take puts a definition into force.
func (c *catalog) take(d *Define) {
	id := d.Fact.Defined.CouponID
	c.coupons[id] = &Defined{Definition: *d.Fact.Defined, Count: d.Count}
	delete(c.windows, Window{CouponID: id})
	if d.DropAt != 0 && !d.Drop {
		c.keep(Window{CouponID: id}, d.DropAt)
	}
	clear(c.soldOut) // definitions are rare
}

// dropDay is the log time that drops a day, 0 for the window of a coupon that has no days.
func (c *catalog) dropDay(d *Defined, day string) fcfs.Millis {
	if day == "" {
		return 0
	}
	w := Window{d.CouponID, day}
	if at, ok := c.windows[w]; ok {
		return at
	}
	at, _ := d.DropAt(day)
	c.keep(w, at) // the first claim of a day that gets this far is granted
	return at
}

// restore makes the next piece of a rebuild out of facts above expected, and says how many it took.
func (c *catalog) restore(expected Progress, facts []fcfs.Fact, most int) (*Restore, int, error) {
	r := &Restore{Expected: expected, Next: expected}
	windows := map[Window]int{}
	for i, f := range facts {
		logTime := max(r.Next.LogTime, f.LogTime)
		switch {
		case i == most:
			return r, i, nil
		case i == 0:
			r.Drops = c.due(logTime)
		case c.dropsAt(logTime):
			return r, i, nil
		}
		if err := c.restoreFact(r, windows, f); err != nil {
			return nil, i, fmt.Errorf("the journal's fact of offset %d: %w", f.Source.Offset, err)
		}
		r.Next = Progress{Offset: f.Source.Offset, AppendTime: f.RequestedAt, LogTime: logTime}
	}
	return r, len(facts), nil
}

// isUnknown tells a record of a newer issuer's type: by the rules that this one knows its request leads to nothing.
func isUnknown(f fcfs.Fact) bool { return f.Defined == nil && f.Granted == nil }

func (c *catalog) restoreFact(r *Restore, windows map[Window]int, f fcfs.Fact) error {
	if isUnknown(f) {
		return nil
	}
	if f.Defined != nil {
		d, outcome := c.redefine(f)
		if d == nil {
			return fmt.Errorf("a definition of %s that is %s", f.Defined.CouponID, outcome)
		}
		r.Defined = append(r.Defined, *d)
		c.take(d)
		return nil
	}
	g := f.Granted
	coupon := c.coupons[g.CouponID]
	if coupon == nil {
		return fmt.Errorf("a grant of %s, which was never defined", g.CouponID)
	}
	w := Window{g.CouponID, g.Window}
	at, ok := windows[w]
	if !ok {
		at = len(r.Granted)
		windows[w] = at
		r.Granted = append(r.Granted, Restored{Window: w, DropAt: c.dropDay(coupon, g.Window)})
	}
	entries := &r.Granted[at].Entries
	if n := len(*entries); n > 0 && (*entries)[n-1].Sequence+1 != g.Sequence {
		return fmt.Errorf("a grant of %s with sequence %d after %d", g.CouponID, g.Sequence, (*entries)[n-1].Sequence)
	}
	*entries = append(*entries, Entry{g.UserID, fcfs.Entry{Sequence: g.Sequence, Offset: f.Source.Offset}})
	return nil
}
