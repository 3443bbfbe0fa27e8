package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
)

// window is one window of one coupon.
type window struct{ couponID, window string }

func byWindow(a, b window) int {
	return cmp.Or(strings.Compare(a.couponID, b.couponID), strings.Compare(a.window, b.window))
}

// windows are all that the log has people in, and all that Redis knows of.
func (c *redisCheck) windows() []window {
	all := make(map[window]bool)
	for id, coupon := range c.o.log.Coupons() {
		for _, name := range coupon.Windows() {
			all[window{id, name}] = true
		}
	}
	for id, hash := range c.s.hashes {
		for field := range hash {
			if name, ok := redislayout.ParseGrantedField(field); ok {
				all[window{id, name}] = true
			}
		}
	}
	for member := range c.s.retire {
		if id, name, err := redislayout.ParseRetireMember(member); err == nil {
			all[window{id, name}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(all), byWindow)
}

// errLate means that Redis went back and did not come up again in time. That was said.
var errLate = errors.New("redis has gone back")

// people compares who holds what. Entries name the offset that they came from, so those of later claims are told apart.
func (c *redisCheck) people(ctx context.Context) error {
	for _, w := range c.windows() {
		p := &peopleCheck{redisCheck: c, w: w, of: c.o.log.Coupon(w.couponID)}
		if p.of != nil && c.dropped(p.of.Current(), w.window) {
			p.of = nil // nobody has anything in it any more
		}
		err := p.compare(ctx)
		c.compared.RedisPeople += p.entries
		if errors.Is(err, errLate) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// peopleCheck compares the people of one window, page by page. What it sees on a page decides nothing, since Redis may be
// emptied and rebuilt meanwhile: whoever has not what he should is asked about once more, together with progress.
type peopleCheck struct {
	*redisCheck
	w  window
	of *fcfs.Coupon // nil: nobody should have anything

	entries  int
	seen     bits              // by sequence, those who are as they should be
	top      redislayout.Entry // the latest of those who came since
	topUser  string
	suspects []string
	retired  bool // since
}

const pagePeople = 1000

func (p *peopleCheck) compare(ctx context.Context) error {
	for cursor := uint64(0); ; {
		pairs, next, err := p.Redis.HScan(ctx, p.keys.Granted(p.w.couponID, p.w.window), cursor, "", pagePeople).Result()
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			if err := p.entry(ctx, pairs[i], pairs[i+1]); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	if p.of != nil {
		for user, want := range p.of.People(p.w.window) {
			if p.seen.has(want.Sequence) {
				continue
			}
			if err := p.suspect(ctx, user); err != nil {
				return err
			}
		}
	}
	if p.topUser != "" {
		p.tops = append(p.tops, p.difference(Unfounded, fcfs.Entry(p.top), "%q has %q in %swhich comes from source %d/%d", p.topUser, p.top, p.in(), p.partition, p.top.Offset))
	}
	return p.confirm(ctx)
}

// in names coupon and window in the middle of a sentence.
func (p *peopleCheck) in() string {
	return fmt.Sprintf("coupon %s, %s", p.w.couponID, inWindow(p.w.window))
}

func (p *peopleCheck) want(user string) (fcfs.Entry, bool) {
	if p.of == nil {
		return fcfs.Entry{}, false
	}
	return p.of.Entry(p.w.window, user)
}

// entry takes one entry of a page. The same may come twice.
func (p *peopleCheck) entry(ctx context.Context, user, value string) error {
	got, err := redislayout.ParseEntry(value)
	want, ok := p.want(user)
	if ok && p.seen.has(want.Sequence) {
		return nil
	}
	p.entries++
	switch {
	case err == nil && ok && fcfs.Entry(got) == want:
		p.seen.set(want.Sequence)
		return nil
	case err == nil && !ok && got.Offset > p.bound.Progress:
		if got.Offset > p.top.Offset {
			p.top, p.topUser = got, user
		}
		return nil
	}
	return p.suspect(ctx, user)
}

func (p *peopleCheck) suspect(ctx context.Context, user string) error {
	if p.suspects = append(p.suspects, user); len(p.suspects) < pagePeople {
		return nil
	}
	return p.confirm(ctx)
}

// confirm settles who of the suspects has not what he should.
func (p *peopleCheck) confirm(ctx context.Context) error {
	users := slices.Compact(slices.Sorted(slices.Values(p.suspects)))
	p.suspects = p.suspects[:0]
	if len(users) == 0 || p.retired {
		return nil
	}
	var values []any
	came, err := p.until(ctx, func() (ready bool, err error) {
		values, ready, err = p.read(ctx, users)
		return ready, err
	})
	if err != nil {
		return err
	}
	if !came {
		p.say(Behind, "its people can't be compared: after %s Redis is not back at offset %d", p.Timeout, p.bound.Progress)
		return errLate
	}
	for i, user := range users {
		if p.retired {
			break
		}
		value, has := values[i].(string)
		p.settle(user, value, has)
	}
	return nil
}

func (p *peopleCheck) settle(user, value string, has bool) {
	got, err := redislayout.ParseEntry(value)
	want, ok := p.want(user)
	switch {
	case ok && !has:
		p.add(p.difference(Missing, want, "%q is missing in %ssequence %d (source %d/%d)", user, p.in(), want.Sequence, p.partition, want.Offset))
	case ok && (err != nil || fcfs.Entry(got) != want):
		p.add(p.difference(Wrong, want, "%q has %q in %sand should have sequence %d of source %d/%d", user, value, p.in(), want.Sequence, p.partition, want.Offset))
	case !ok && has && (err != nil || got.Offset <= p.bound.Progress):
		p.add(p.difference(Unfounded, fcfs.Entry(got), "%q has %q in %swhich the log does not lead to", user, value, p.in()))
	}
}

// read gives what people have, all at one moment; not ready, where Redis is not as far as it was. It sees as well whether
// the window has been retired since.
func (p *peopleCheck) read(ctx context.Context, users []string) (values []any, ready bool, err error) {
	var progress, current *redis.StringCmd
	var people *redis.SliceCmd
	coupon := p.keys.Coupon(p.w.couponID)
	_, err = p.Redis.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		progress, current = tx.Get(ctx, p.keys.Progress()), tx.HGet(ctx, coupon, redislayout.FieldCurrent)
		people = tx.HMGet(ctx, p.keys.Granted(p.w.couponID, p.w.window), users...)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, false, err
	}
	at, err := progressOf(progress)
	if err != nil || at == nil || at.Offset < p.bound.Progress {
		return nil, false, err
	}
	if p.of != nil {
		p.retired, err = p.retiredAt(ctx, at.LogTime, current.Val())
	}
	return people.Val(), true, err
}

// retiredAt says whether the window is retired at a log time, by the definition in force then, which may be a later one.
func (p *peopleCheck) retiredAt(ctx context.Context, logTime fcfs.Millis, current string) (bool, error) {
	d := p.of.Current()
	if offset, ok := redislayout.ParseDefinitionField("def:" + current); ok {
		value, err := p.Redis.HGet(ctx, p.keys.Coupon(p.w.couponID), redislayout.DefinitionField(offset)).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return false, err
		}
		if later, err := redislayout.DecodeDefinition(p.w.couponID, value); err == nil {
			d = later
		}
	}
	at, ever := d.DropAt(p.w.window)
	return ever && logTime >= at, nil
}

func (p *peopleCheck) difference(kind Kind, e fcfs.Entry, format string, args ...any) Difference {
	return Difference{
		Place: placeRedis, Kind: kind, Partition: p.partition, Offset: e.Offset, CouponID: p.w.couponID, Window: p.w.window, Sequence: e.Sequence,
		Sentence: fmt.Sprintf(format, args...),
	}
}

// bits is a set of sequences.
type bits []uint64

func (b *bits) set(n int64) {
	for int64(len(*b)) <= n/64 {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func (b bits) has(n int64) bool { return n/64 < int64(len(b)) && b[n/64]&(1<<(n%64)) != 0 }
