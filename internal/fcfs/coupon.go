package fcfs

import (
	"iter"
	"maps"
	"slices"
	"sort"
)

// Coupon is the state of one coupon in a Log.
type Coupon struct {
	definitions []Defined // by offset, never empty once the log knows the coupon
	total       int64
	counts      map[string]int64
	people      map[string]map[string]Entry
}

// Defined is a definition that took effect, and the offset of its request.
type Defined struct {
	Offset int64
	Definition
}

func newCoupon() *Coupon {
	return &Coupon{counts: map[string]int64{}, people: map[string]map[string]Entry{}}
}

// Current is the definition in force.
func (c *Coupon) Current() Definition { return c.definitions[len(c.definitions)-1].Definition }

// Definitions gives all that took effect, by offset.
func (c *Coupon) Definitions() []Defined { return slices.Clone(c.definitions) }

// InForce is the definition by which a claim at offset was decided; false if the coupon was unknown then.
func (c *Coupon) InForce(offset int64) (Defined, bool) {
	after := sort.Search(len(c.definitions), func(i int) bool { return c.definitions[i].Offset > offset })
	if after == 0 {
		return Defined{}, false
	}
	return c.definitions[after-1], true
}

// Total is how many were ever granted, in all windows, dropped ones too.
func (c *Coupon) Total() int64 { return c.total }

// Windows gives the windows that have a count, ordered.
func (c *Coupon) Windows() []string { return slices.Sorted(maps.Keys(c.counts)) }

// Count is how many were granted in a window. It outlives the people of window "", but goes with those of a day.
func (c *Coupon) Count(window string) int64 { return c.counts[window] }

// Entry is a person's place in a window, false if the person holds nothing in it or was dropped.
func (c *Coupon) Entry(window, userID string) (Entry, bool) {
	e, ok := c.people[window][userID]
	return e, ok
}

// People gives the people of a window in no particular order, none once it was dropped.
func (c *Coupon) People(window string) iter.Seq2[string, Entry] { return maps.All(c.people[window]) }

func (c *Coupon) drop(window string) {
	delete(c.people, window)
	if window != "" {
		delete(c.counts, window)
	}
}
