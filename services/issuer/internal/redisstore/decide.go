package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// Decide sends the batches in one round trip, in order: each expects the progress that the one before it leads to.
func (s *Store) Decide(ctx context.Context, batches ...*partition.Batch) []partition.Answer {
	calls := make([]call, len(batches))
	for i, b := range batches {
		calls[i] = s.decideCall(b)
	}
	answers := make([]partition.Answer, len(batches))
	for i, cmd := range decideScript.pipeline(ctx, s.redis, calls) {
		answers[i] = readAnswer(batches[i], cmd)
	}
	return answers
}

func (s *Store) decideCall(b *partition.Batch) call {
	c := s.begin(b.Expected, b.Next.String(), b.Covered)
	c.args = append(make([]any, 0, 16+argsOf(b)), c.args...)
	c.arg(len(b.Drops), len(b.Groups), flag(b.Define != nil))
	s.drops(&c, b.Drops)
	e := encoder{room: make([]byte, 0, 1<<14)}
	for i := range b.Groups {
		s.group(&c, &e, &b.Groups[i])
	}
	if b.Define != nil {
		s.define(&c, b.Define)
	}
	return c
}

func argsOf(b *partition.Batch) int {
	n := 2*len(b.Drops) + 12
	for i := range b.Groups {
		n += 7 + 2*len(b.Groups[i].Claims)
	}
	return n
}

func (s *Store) drops(c *call, drops []partition.Window) {
	for _, w := range drops {
		counter := ""
		if w.Day != "" {
			counter = redislayout.GrantedField(w.Day)
		}
		c.key(s.keys.Granted(w.CouponID, w.Day), s.keys.Coupon(w.CouponID))
		c.arg(redislayout.RetireMember(w.CouponID, w.Day), counter)
	}
}

func (s *Store) group(c *call, e *encoder, g *partition.Group) {
	c.key(s.keys.Coupon(g.CouponID), s.keys.Granted(g.CouponID, g.Day))
	c.arg(len(g.Claims), g.Limit, redislayout.GrantedField(g.Day), score(g.DropAt),
		redislayout.RetireMember(g.CouponID, g.Day), e.header(g), flag(!g.SoldOut))
	for i := range g.Claims {
		c.args = append(c.args, g.Claims[i].UserID)
	}
	if g.SoldOut {
		return
	}
	for i := range g.Claims {
		c.args = append(c.args, e.piece(&g.Claims[i]))
	}
}

// score is a log time for the retire set, "" for never.
func score(at fcfs.Millis) string {
	if at == 0 {
		return ""
	}
	return strconv.FormatInt(int64(at), 10)
}

func (s *Store) define(c *call, d *partition.Define) {
	c.arg(flag(d.Frozen), flag(d.Full))
	s.defined(c, d)
	c.arg(definitionPiece(d.Fact))
}

func (s *Store) defined(c *call, d *partition.Define) {
	next, offset := d.Fact.Defined, d.Fact.Source.Offset
	c.key(s.keys.Coupon(next.CouponID), s.keys.Granted(next.CouponID, ""))
	c.arg(next.CouponID, score(d.DropAt), flag(d.Drop), redislayout.RetireMember(next.CouponID, ""),
		offset, next.Limit, d.Count, redislayout.DefinitionField(offset), redislayout.EncodeDefinition(*next))
}

var definedAs = map[byte]fcfs.Outcome{'-': fcfs.None, 'c': fcfs.Created, 'x': fcfs.Conflict, 'i': fcfs.Invalid}

func readAnswer(b *partition.Batch, cmd *redis.Cmd) partition.Answer {
	text, err := cmd.Text()
	if err != nil {
		return partition.Answer{Err: fmt.Errorf("deciding: %w", err)}
	}
	head, lines, ok := strings.Cut(text, "\n")
	if !ok || len(head) != 2 || head[0] != '=' {
		found, err := parseElsewhere(text, b.Expected)
		return partition.Answer{Found: found, Err: err}
	}
	a := partition.Answer{Found: b.Expected, Groups: make([]partition.Outcomes, len(b.Groups))}
	if a.Define, ok = definedAs[head[1]]; !ok || (a.Define == fcfs.None) != (b.Define == nil) {
		return partition.Answer{Err: fmt.Errorf("%w: %q of a definition", errReply, head)}
	}
	for i := range b.Groups {
		var line string
		line, lines, ok = strings.Cut(lines, "\n")
		if ok != (i < len(b.Groups)-1) {
			return partition.Answer{Err: fmt.Errorf("%w: other than %d lines", errReply, len(b.Groups))}
		}
		if a.Groups[i], err = readLine(line, &b.Groups[i]); err != nil {
			return partition.Answer{Err: err}
		}
	}
	if lines != "" {
		return partition.Answer{Err: fmt.Errorf("%w: more than %d lines", errReply, len(b.Groups))}
	}
	return a
}

// readLine takes only what the rules allow of a group: a grant where there is stock, and no refusal before it is gone.
func readLine(line string, g *partition.Group) (partition.Outcomes, error) {
	count, letters, ok := strings.Cut(line, ":")
	before, err := strconv.ParseInt(count, 10, 64)
	if !ok || err != nil || before < 0 || len(letters) != len(g.Claims) {
		return partition.Outcomes{}, fmt.Errorf("%w: %.80q for %d claims", errReply, line, len(g.Claims))
	}
	o := partition.Outcomes{Before: before, Outcomes: make([]fcfs.Outcome, len(letters))}
	granted := before
	for i := range letters {
		full := g.SoldOut || granted >= g.Limit
		switch letter := letters[i]; {
		case letter == 'g' && !full:
			o.Outcomes[i] = fcfs.Granted
			granted++
		case letter == 'a':
			o.Outcomes[i] = fcfs.AlreadyIssued
		case letter == 's' && full:
			o.Outcomes[i] = fcfs.SoldOut
		default:
			return partition.Outcomes{}, fmt.Errorf("%w: %q after %d of %d", errReply, letter, granted, g.Limit)
		}
	}
	return o, nil
}

// Restore takes a piece of the journal.
func (s *Store) Restore(ctx context.Context, r *partition.Restore) (partition.Progress, error) {
	c := s.begin(r.Expected, r.Next.String(), -1)
	c.arg(len(r.Drops), len(r.Granted), len(r.Defined))
	s.drops(&c, r.Drops)
	for i := range r.Granted {
		g := &r.Granted[i]
		c.key(s.keys.Coupon(g.CouponID), s.keys.Granted(g.CouponID, g.Day))
		c.arg(len(g.Entries), redislayout.GrantedField(g.Day), g.Entries[0].Sequence, score(g.DropAt), redislayout.RetireMember(g.CouponID, g.Day))
		for _, e := range g.Entries {
			c.arg(e.UserID, redislayout.Entry(e.Entry).String())
		}
	}
	for i := range r.Defined {
		s.defined(&c, &r.Defined[i])
	}
	return s.moved(ctx, c, r.Expected)
}
