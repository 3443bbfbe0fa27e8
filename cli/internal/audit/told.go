package audit

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/firstcome/firstcome/cli/internal/client"
	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/internal/fcfs"
)

// told compares what people were told with what the log decided.
//
// A grant, and the earlier one of an already_issued, was told with its grant id, which names the claim: the log must grant
// that very claim, with that sequence in that window. Without an id, as for what was told only in passing, the person must
// have it.
//
// A refusal that came with a claim id was decided by the log. The id is sealed, so which of the person's claims it was is
// not known here: the log must have at least one claim of that person for that coupon with that outcome. Where the log no
// longer has its start the claim may be gone with it, and nothing is said.
//
// A refusal without a claim id was told at the door, and no record stands behind it. What the door may say then is what was
// true at some progress, so for sold_out, the coupon must have been sold out in some window at some progress, and in a
// window in which the person was granted later, at one before that grant: the door refuses who holds one by another word.
// For not_open and closed some definition must have such a time. Which progress it was cannot be told from the times, as
// they are of different clocks, and nothing contradicts an unknown_coupon. already_issued at the door comes with the grant.
//
// Somebody who got no answer may have a coupon or not.
type told struct {
	*look
	complete bool
	coupons  map[string]bool // that the answers are about

	stories map[person]story
	more    map[person][]story // grants after the first, of other windows
	soldOut map[window]int64   // the first progress at which it was
	windows []string           // by number
	numbers map[string]uint32
	times   map[string]times
}

// person is somebody who asks for a coupon: a hash, since there may be millions and each asked under a name of up to 200
// bytes. It has 128 bits, so that no two are the same.
type person [16]byte

func personOf(couponID, userID string) person {
	sum := sha256.Sum256([]byte(couponID + "\x00" + userID))
	return person(sum[:16])
}

// story is what the log says about a person: the outcomes of all claims, and the first grant. It is 24 bytes.
type story struct {
	outcomes uint32 // a bit each
	window   uint32
	sequence int64
	offset   int64 // -1: nothing was granted
}

func (s story) has(o fcfs.Outcome) bool { return s.outcomes&(1<<o) != 0 }

// times say whether a coupon ever had such a time.
type times struct{ opens, closes bool }

// take notes one decision. o is the oracle after it.
func (t *told) take(d *decision, o *oracle) {
	if f := d.fact; f != nil {
		t.exhausted(f, o)
		if f.Granted != nil {
			t.granted(f)
		}
	}
	if d.couponID == "" {
		return
	}
	who := personOf(d.couponID, d.userID)
	if s, ok := t.stories[who]; ok {
		s.outcomes |= 1 << d.outcome
		t.stories[who] = s
	}
}

// exhausted notes the windows that a fact leaves with nothing to give.
func (t *told) exhausted(f *fcfs.Fact, o *oracle) {
	if g := f.Granted; g != nil {
		if g.Sequence >= g.Limit {
			t.soldOutAt(window{g.CouponID, g.Window}, f.Source.Offset)
		}
		return
	}
	coupon := o.log.Coupon(f.Defined.CouponID)
	for _, name := range coupon.Windows() {
		if coupon.Count(name) >= f.Defined.Limit {
			t.soldOutAt(window{f.Defined.CouponID, name}, f.Source.Offset)
		}
	}
}

func (t *told) soldOutAt(w window, offset int64) {
	if _, was := t.soldOut[w]; !was && t.Answers.coupons[w.couponID] {
		t.soldOut[w] = offset
	}
}

func (t *told) granted(f *fcfs.Fact) {
	who := personOf(f.Granted.CouponID, f.Granted.UserID)
	s, ok := t.stories[who]
	if !ok {
		return
	}
	g := story{outcomes: s.outcomes, window: t.number(f.Granted.Window), sequence: f.Granted.Sequence, offset: f.Source.Offset}
	if s.offset < 0 {
		t.stories[who] = g
		return
	}
	if t.more == nil {
		t.more = make(map[person][]story)
	}
	t.more[who] = append(t.more[who], g)
}

func (t *told) number(window string) uint32 {
	n, ok := t.numbers[window]
	if !ok {
		n = uint32(len(t.windows))
		t.numbers[window], t.windows = n, append(t.windows, window)
	}
	return n
}

// judge reads the answers once more, when the log is known.
func (t *told) judge(o *oracle) error {
	t.times = make(map[string]times)
	for id := range t.coupons {
		if c := o.log.Coupon(id); c != nil {
			for _, d := range c.Definitions() {
				had := t.times[id]
				t.times[id] = times{had.opens || d.OpensAt != 0, had.closes || d.ClosesAt != 0}
			}
		}
	}
	return t.each(func(r crowd.Record) error {
		t.compared.Answers++
		for _, broken := range r.Broken {
			t.say(r, "%s", broken)
		}
		if what := t.wrong(r); what != "" {
			t.say(r, "%s", what)
		}
		return nil
	})
}

func (t *told) say(r crowd.Record, format string, args ...any) {
	of := "coupon " + r.CouponID
	if r.Sequence > 0 {
		of += fmt.Sprintf(", %ssequence %d", inWindow(r.Window), r.Sequence)
	}
	t.add(Difference{Place: placeAnswers, Kind: Contradicted, Partition: t.partition, Offset: -1, CouponID: r.CouponID, Window: r.Window, Sequence: r.Sequence,
		Sentence: fmt.Sprintf("%q of %s ", r.UserID, of) + fmt.Sprintf(format, args...)})
}

// wrong says what of an answer is not so; "" = nothing.
func (t *told) wrong(r crowd.Record) string {
	who := personOf(r.CouponID, r.UserID)
	s := t.stories[who]
	grants := t.grants(who)
	switch {
	case r.Outcome == "" || r.Outcome == "retired":
		return ""
	case r.Outcome == client.Granted:
		return t.wrongGrant(r, grants)
	case r.Outcome == fcfs.AlreadyIssued.String() && len(grants) == 0:
		return "was told already_issued, and has nothing"
	case r.ClaimID == "":
		return t.wrongAtTheDoor(r, grants)
	case !t.complete:
		return ""
	}
	if outcome, known := fcfs.ParseOutcome(r.Outcome); known && s.has(outcome) {
		return ""
	}
	return fmt.Sprintf("was told %s about a claim, and the log decided %s", r.Outcome, t.decided(s, grants))
}

func (t *told) grants(who person) []story {
	first := t.stories[who]
	if first.offset < 0 {
		return nil
	}
	return append([]story{first}, t.more[who]...)
}

func (t *told) wrongGrant(r crowd.Record, grants []story) string {
	if r.GrantID != "" {
		return t.wrongGrantID(r, grants)
	}
	for _, g := range grants {
		if t.windows[g.window] == r.Window {
			if g.sequence == r.Sequence {
				return ""
			}
			return "was told granted, and has " + t.describe(g)
		}
	}
	return "was told granted, and has nothing" + t.elsewhere(r, grants)
}

// wrongGrantID compares with the very claim that the grant id names.
func (t *told) wrongGrantID(r crowd.Record, grants []story) string {
	for _, g := range grants {
		if fcfs.GrantID(t.requests, fcfs.Source{Partition: t.partition, Offset: g.offset}) != r.GrantID {
			continue
		}
		if g.sequence == r.Sequence && t.windows[g.window] == r.Window {
			return ""
		}
		return "was told granted, and has " + t.describe(g)
	}
	if len(grants) == 0 {
		return "was told granted, and has nothing"
	}
	return fmt.Sprintf("was told the grant id %s, and has %s", r.GrantID, t.describe(grants[0]))
}

func (t *told) elsewhere(r crowd.Record, grants []story) string {
	if len(grants) == 0 {
		return ""
	}
	return fmt.Sprintf(" in window %q but %s", r.Window, t.describe(grants[0]))
}

func (t *told) wrongAtTheDoor(r crowd.Record, grants []story) string {
	had := t.times[r.CouponID]
	switch r.Outcome {
	case fcfs.SoldOut.String():
		return t.neverSoldOut(r, grants)
	case fcfs.NotOpen.String():
		if !had.opens {
			return "was told not_open at the door, and the coupon never had a time to open"
		}
	case fcfs.Closed.String():
		if !had.closes {
			return "was told closed at the door, and the coupon never had a time to close"
		}
	case fcfs.UnknownCoupon.String(), fcfs.AlreadyIssued.String():
	default:
		return fmt.Sprintf("was told %s, which is no outcome of a claim", r.Outcome)
	}
	return ""
}

func (t *told) neverSoldOut(r crowd.Record, grants []story) string {
	own := make(map[string]story)
	for _, g := range grants {
		own[t.windows[g.window]] = g
	}
	before := ""
	for w, at := range t.soldOut {
		if w.couponID != r.CouponID {
			continue
		}
		if g, has := own[w.window]; !has || at < g.offset {
			return ""
		}
		before = " before that"
	}
	if len(grants) > 0 {
		return fmt.Sprintf("was told sold_out at the door, and has %s: it was not sold out%s", t.describe(grants[0]), before)
	}
	return "was told sold_out at the door, and the coupon never was"
}

func (t *told) describe(g story) string {
	return fmt.Sprintf("%ssequence %d (source %d/%d)", inWindow(t.windows[g.window]), g.sequence, t.partition, g.offset)
}

// decided names what the log has for a person.
func (t *told) decided(s story, grants []story) string {
	var all []string
	for o := fcfs.Granted; o.Valid(); o++ {
		if s.has(o) && o != fcfs.Granted {
			all = append(all, o.String())
		}
	}
	for _, g := range grants {
		all = append(all, "granted, "+t.describe(g))
	}
	if len(all) == 0 {
		return "none of theirs"
	}
	return strings.Join(all, " and ")
}
