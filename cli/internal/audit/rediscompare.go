package audit

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
)

// redisCheck compares what Redis holds with what the log leads to at the same progress.
type redisCheck struct {
	o         *oracle
	s         redisState
	truncated bool // the log's start is gone, and with it refusals that may have moved the log time
	out       []Difference
}

func compareRedis(o *oracle, s redisState, start int64) []Difference {
	c := &redisCheck{o: o, s: s, truncated: start > 0}
	c.progress(start)
	for id, coupon := range o.log.Coupons() {
		if !slices.Contains(s.coupons, id) {
			c.coupon(id, "coupon %s is missing", id)
			continue
		}
		c.hash(id, coupon, s.hashes[id])
	}
	for _, id := range s.coupons {
		if o.log.Coupon(id) == nil {
			c.coupon(id, "coupon %s is there, and the log does not define it", id)
		}
	}
	c.retire()
	for _, w := range slices.SortedFunc(maps.Keys(s.people), byWindow) {
		c.people(w)
	}
	return c.out
}

func (c *redisCheck) say(format string, args ...any) {
	c.out = append(c.out, inPartition(placeRedis, c.o.partition, format, args...))
}

func (c *redisCheck) coupon(id, format string, args ...any) {
	d := inPartition(placeRedis, c.o.partition, format, args...)
	d.CouponID = id
	c.out = append(c.out, d)
}

func (c *redisCheck) progress(start int64) {
	p, last := c.s.progress, max(c.o.last, start-1)
	if p.Offset != last {
		c.say("progress is at offset %d, and the last record up to there has offset %d", p.Offset, last)
		return
	}
	if c.o.last == p.Offset && p.AppendTime != 0 && p.AppendTime != c.o.lastAt {
		c.say("progress has the append time %s of offset %d, and the log has %s: this is another log", show(moment(p.AppendTime)), p.Offset, show(moment(c.o.lastAt)))
	}
	if model := c.o.log.LogTime(); p.LogTime < model || p.LogTime > model && !c.truncated {
		c.say("log time is %s and should be %s", show(moment(p.LogTime)), show(moment(model)))
	}
}

// logTime is the model's, or Redis' own where refusals that the log no longer has may have moved it.
func (c *redisCheck) logTime() fcfs.Millis {
	if c.truncated {
		return max(c.o.log.LogTime(), c.s.progress.LogTime)
	}
	return c.o.log.LogTime()
}

// dropped says that a window's people are gone at the log time.
func (c *redisCheck) dropped(d fcfs.Definition, name string) bool {
	at, ever := d.DropAt(name)
	return ever && c.logTime() >= at
}

func (c *redisCheck) hash(id string, coupon *fcfs.Coupon, got map[string]string) {
	definitions := coupon.Definitions()
	last := definitions[len(definitions)-1]
	want := map[string]string{
		redislayout.FieldCurrent:     strconv.FormatInt(last.Offset, 10),
		redislayout.FieldLimit:       strconv.FormatInt(last.Limit, 10),
		redislayout.FieldDefinitions: strconv.Itoa(len(definitions)),
		redislayout.FieldTotal:       strconv.FormatInt(coupon.Total(), 10),
	}
	for _, d := range definitions {
		want[redislayout.DefinitionField(d.Offset)] = redislayout.EncodeDefinition(d.Definition)
	}
	for _, name := range coupon.Windows() {
		if name != "" && c.dropped(last.Definition, name) {
			continue
		}
		want[redislayout.GrantedField(name)] = strconv.FormatInt(coupon.Count(name), 10)
	}
	c.fields(id, want, got)
}

func (c *redisCheck) fields(id string, want, got map[string]string) {
	for _, field := range slices.Sorted(maps.Keys(want)) {
		value, ok := got[field]
		switch {
		case !ok && want[field] == "0": // a counter that never moved need not be there
		case !ok:
			c.coupon(id, "coupon %s lacks %s, which should be %s", id, field, want[field])
		case value != want[field]:
			c.coupon(id, "coupon %s has %s %s, and it should be %s", id, field, value, want[field])
		}
	}
	for _, field := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[field]; !ok && got[field] != "0" {
			c.coupon(id, "coupon %s has %s %s, which the log does not lead to", id, field, got[field])
		}
	}
}

// retire compares when the windows' people will be dropped.
func (c *redisCheck) retire() {
	want := make(map[string]float64)
	for id, coupon := range c.o.log.Coupons() {
		d := coupon.Current()
		windows := coupon.Windows()
		if d.Window == fcfs.WindowNone {
			windows = []string{""}
		}
		for _, name := range windows {
			if at, ever := d.DropAt(name); ever && !c.dropped(d, name) {
				want[redislayout.RetireMember(id, name)] = float64(at)
			}
		}
	}
	for _, member := range slices.Sorted(maps.Keys(want)) {
		got, ok := c.s.retire[member]
		switch {
		case !ok:
			c.say("nothing says that the people of %s are to be dropped at %s", member, show(moment(want[member])))
		case got != want[member]:
			c.say("the people of %s are to be dropped at %s, and it should be %s", member, show(moment(got)), show(moment(want[member])))
		}
	}
	for _, member := range slices.Sorted(maps.Keys(c.s.retire)) {
		if _, ok := want[member]; !ok {
			c.say("the people of %s are to be dropped at %s, and the log does not say so", member, show(moment(c.s.retire[member])))
		}
	}
}

// people compares who holds what in one window. Entries of offsets beyond progress came while it was read.
func (c *redisCheck) people(w window) {
	got := c.s.people[w]
	want := make(map[string]fcfs.Entry)
	if coupon := c.o.log.Coupon(w.couponID); coupon != nil && !c.dropped(coupon.Current(), w.window) {
		want = maps.Collect(coupon.People(w.window))
	}
	for _, user := range slices.Sorted(maps.Keys(want)) {
		entry := want[user]
		value, ok := got[user]
		switch {
		case !ok:
			c.entry(w, entry, "%q is missing in coupon %s, %ssequence %d (source %d/%d)", user, w.couponID, inWindow(w.window), entry.Sequence, c.o.partition, entry.Offset)
		case value != redislayout.Entry(entry).String():
			c.entry(w, entry, "%q has %q in coupon %s, %sand should have sequence %d of source %d/%d", user, value, w.couponID, inWindow(w.window), entry.Sequence, c.o.partition, entry.Offset)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[user]; ok {
			continue
		}
		entry, err := redislayout.ParseEntry(got[user])
		if err == nil && entry.Offset > c.s.progress.Offset {
			continue
		}
		c.entry(w, fcfs.Entry(entry), "%q has %q in coupon %s, %swhich the log does not lead to", user, got[user], w.couponID, inWindow(w.window))
	}
}

func (c *redisCheck) entry(w window, e fcfs.Entry, format string, args ...any) {
	c.out = append(c.out, Difference{
		Place: placeRedis, Partition: c.o.partition, Offset: e.Offset, CouponID: w.couponID, Window: w.window, Sequence: e.Sequence,
		Sentence: fmt.Sprintf(format, args...),
	})
}
