package audit

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
)

// redisCheck compares what Redis holds with what the log leads to at the same progress.
type redisCheck struct {
	*look
	o *oracle
	s redisState
}

func (l *look) compareRedis(ctx context.Context, o *oracle, s redisState) error {
	c := &redisCheck{look: l, o: o, s: s}
	l.compared.RedisCoupons = len(s.hashes)
	c.progress()
	for id, coupon := range o.log.Coupons() {
		if s.hashes[id] == nil {
			c.coupon(Missing, id, "coupon %s is missing", id)
			continue
		}
		c.hash(id, coupon, s.hashes[id])
	}
	for _, id := range slices.Sorted(maps.Keys(s.hashes)) {
		if o.log.Coupon(id) == nil {
			c.coupon(Unfounded, id, "coupon %s is there, and the log does not define it", id)
		}
	}
	c.retire()
	return c.people(ctx)
}

func (c *redisCheck) say(kind Kind, format string, args ...any) {
	c.add(inPartition(placeRedis, kind, c.partition, format, args...))
}

func (c *redisCheck) coupon(kind Kind, id, format string, args ...any) {
	d := inPartition(placeRedis, kind, c.partition, format, args...)
	d.CouponID = id
	c.add(d)
}

func (c *redisCheck) progress() {
	p, last := c.s.progress, max(c.o.last, c.bound.LogStart-1)
	if p.Offset != last {
		c.say(Wrong, "progress is at offset %d, and the last record up to there has offset %d", p.Offset, last)
		return
	}
	if c.o.last == p.Offset && p.AppendTime != 0 && p.AppendTime != c.o.lastAt {
		c.say(Wrong, "progress has the append time %s of offset %d, and the log has %s: this is another log", show(moment(p.AppendTime)), p.Offset, show(moment(c.o.lastAt)))
	}
	if model := c.o.log.LogTime(); p.LogTime < model || p.LogTime > model && !c.truncated() {
		c.say(Wrong, "log time is %s and should be %s", show(moment(p.LogTime)), show(moment(model)))
	}
}

// truncated says that the log's start is gone, and with it refusals that may have moved the log time.
func (c *redisCheck) truncated() bool { return c.bound.LogStart > 0 }

// logTime is the model's, or Redis' own where refusals that the log no longer has may have moved it.
func (c *redisCheck) logTime() fcfs.Millis {
	if c.truncated() {
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
			c.coupon(Missing, id, "coupon %s lacks %s, which should be %s", id, field, want[field])
		case value != want[field]:
			c.coupon(Wrong, id, "coupon %s has %s %s, and it should be %s", id, field, value, want[field])
		}
	}
	for _, field := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[field]; !ok && got[field] != "0" {
			c.coupon(Unfounded, id, "coupon %s has %s %s, which the log does not lead to", id, field, got[field])
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
			c.say(Missing, "nothing says that the people of %s are to be dropped at %s", member, show(moment(want[member])))
		case got != want[member]:
			c.say(Wrong, "the people of %s are to be dropped at %s, and it should be %s", member, show(moment(got)), show(moment(want[member])))
		}
	}
	for _, member := range slices.Sorted(maps.Keys(c.s.retire)) {
		if _, ok := want[member]; !ok {
			c.say(Unfounded, "the people of %s are to be dropped at %s, and the log does not say so", member, show(moment(c.s.retire[member])))
		}
	}
}
