package fcfs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The question of this file: is every decision a pure function of the log? Two answers are compared with Log's: those of
// naive, which knows nothing of Redis, dropping or rebuilding; and those of a Log that was rebuilt from the journal up to
// any fact and then reads the requests above it.

// naive decides the record at offset by looking at all before it, and at nothing else.
func naive(records []record, decided []Decision, offset int) Decision {
	r := records[offset]
	var logTime Millis
	for _, before := range records[:offset+1] {
		logTime = max(logTime, before.at)
	}
	var current *Definition
	definitions, granted := 0, 0
	coupon := r.coupon
	if r.define != nil {
		coupon = r.define.CouponID
	}
	for i, before := range records[:offset] {
		switch {
		case decided[i].Outcome == Granted && before.coupon == coupon:
			granted++
		case (decided[i].Outcome == Created || decided[i].Outcome == Changed) && before.define.CouponID == coupon:
			definitions++
			current = before.define
		}
	}
	switch {
	case r.define != nil && len(r.define.Validate()) > 0:
		return Decision{Outcome: Invalid}
	case r.define != nil:
		return Decision{Outcome: Redefine(current, definitions, granted > 0, *r.define, logTime)}
	case r.user == "":
		return Decision{}
	case current == nil:
		return Decision{Outcome: UnknownCoupon}
	}
	return naiveClaim(records, decided, offset, *current, logTime)
}

// naiveClaim says design §4's sentence once more, in its own words.
func naiveClaim(records []record, decided []Decision, offset int, d Definition, logTime Millis) Decision {
	r := records[offset]
	decision := Decision{Window: d.WindowAt(r.at), Limit: d.Limit}
	var count int64
	var mine *Entry
	for i, before := range records[:offset] {
		if decided[i].Outcome == Granted && before.coupon == r.coupon && decided[i].Window == decision.Window {
			count++
			if before.user == r.user {
				mine = &Entry{decided[i].Sequence, int64(i)}
			}
		}
	}
	retired := d.ClosesAt != 0 && logTime >= d.ClosesAt+day
	if d.Window == WindowDaily {
		retired = retired || logTime >= d.DayEnd(decision.Window)+day
	}
	switch {
	case retired:
		decision.Outcome = Closed
	case d.OpensAt != 0 && r.at < d.OpensAt:
		decision.Outcome = NotOpen
	case d.ClosesAt != 0 && r.at >= d.ClosesAt:
		decision.Outcome = Closed
	case mine != nil:
		decision.Outcome, decision.Earlier = AlreadyIssued, *mine
	case count >= d.Limit:
		decision.Outcome = SoldOut
	default:
		decision.Outcome, decision.Sequence = Granted, count+1
	}
	return decision
}

// check compares the three on one log. Offsets are 3·i+1, since real logs have gaps.
func check(records []record) error {
	offset := func(i int) int64 { return int64(3*i + 1) }
	l := NewLog(7)
	var facts []Fact
	decided, states := make([]Decision, len(records)), make([]string, len(records))
	for i, r := range records {
		d, f := r.decide(l, offset(i))
		want := naive(records, decided, i)
		if want.Outcome == AlreadyIssued {
			want.Earlier.Offset = offset(int(want.Earlier.Offset))
		}
		if d != want {
			return fmt.Errorf("offset %d is %+v, by the whole log %+v", offset(i), d, want)
		}
		decided[i], states[i] = d, snapshot(l)
		if f != nil {
			facts = append(facts, *f)
		}
	}
	for k := range len(facts) + 1 {
		if err := checkRebuild(records, decided, states, facts[:k]); err != nil {
			return fmt.Errorf("rebuilt from %d of %d facts: %w", k, len(facts), err)
		}
	}
	return nil
}

func checkRebuild(records []record, decided []Decision, states []string, facts []Fact) error {
	l := NewLog(7)
	for i, f := range facts {
		for _, g := range facts[:i+1] { // a late batch of a former owner: all but the last are duplicates
			if err := l.Apply(g); err != nil {
				return err
			}
		}
		if at := int(f.Source.Offset-1) / 3; snapshot(l) != states[at] {
			return fmt.Errorf("the state is\n%s\nby the log it is\n%s", snapshot(l), states[at])
		}
	}
	for i := int(l.Progress()+2) / 3; i < len(records); i++ {
		if d, _ := records[i].decide(l, int64(3*i+1)); d != decided[i] {
			return fmt.Errorf("offset %d is %+v, by the log %+v", 3*i+1, d, decided[i])
		}
		if snapshot(l) != states[i] {
			return fmt.Errorf("the state at offset %d is\n%s\nby the log it is\n%s", 3*i+1, snapshot(l), states[i])
		}
	}
	return nil
}

// snapshot writes down everything that Redis would hold.
func snapshot(l *Log) string {
	var b strings.Builder
	fmt.Fprintln(&b, "progress", l.Progress(), l.AppendTime(), l.LogTime())
	for id, c := range l.Coupons() {
		fmt.Fprintln(&b, id, c.Total(), c.definitions)
		for _, w := range c.Windows() {
			fmt.Fprintf(&b, "  %q %d:", w, c.Count(w))
			people := maps.Collect(c.People(w))
			for _, user := range slices.Sorted(maps.Keys(people)) {
				fmt.Fprint(&b, " ", user, people[user])
			}
			fmt.Fprintln(&b)
		}
		for w := range c.people {
			if c.counts[w] == 0 {
				fmt.Fprintln(&b, "people without a count:", w)
			}
		}
	}
	return b.String()
}

// Every log of up to three (four) records of these kinds: two coupons, two people, opening, closing, days, and append
// times that jump to and fro over retirement.
func TestRebuild_everyShortLog(t *testing.T) {
	longest := 3
	if thorough() {
		longest = 4
	}
	kinds := shortKinds()
	logs := 0
	var extend func(records []record)
	extend = func(records []record) {
		logs++
		if err := check(records); err != nil {
			t.Fatalf("%s\n%v", describe(records), err)
		}
		if len(records) == longest {
			return
		}
		for _, r := range kinds {
			extend(append(records[:len(records):len(records)], r))
		}
	}
	extend(nil)
	t.Log(logs, "logs")
}

func shortKinds() []record {
	base := Millis(20_000) * day
	var kinds []record
	for _, when := range []Millis{base, base + 2*day, base + 5*day} {
		for _, c := range []string{"x", "y"} {
			once := Definition{CouponID: c, Limit: 1, Window: WindowNone, TimeZone: "UTC", ClosesAt: base + day, Rules: 1}
			daily := Definition{CouponID: c, Limit: 1, Window: WindowDaily, TimeZone: "UTC", ClosesAt: base + 9*day, Rules: 1}
			kinds = append(kinds, record{at: when, define: &once}, record{at: when, coupon: c, user: "ann"})
			if c == "x" {
				kinds = append(kinds, record{at: when, define: &daily}, record{at: when, coupon: c, user: "bob"})
			}
		}
	}
	return kinds
}

func TestRebuild_randomLogs(t *testing.T) {
	logs := 300
	if thorough() {
		logs = 3000
	}
	for seed := range uint64(logs) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		records := make([]record, 1+rnd.IntN(60))
		now := Millis(20_000)*day + Millis(rnd.Int64N(int64(day)))
		for i := range records {
			now += Millis(rnd.Int64N(int64(day/4))) * Millis(rnd.IntN(2))
			records[i] = randomRecord(rnd, now)
		}
		if err := check(records); err != nil {
			t.Fatalf("seed %d: %s\n%v", seed, describe(records), err)
		}
	}
}

func randomRecord(rnd *rand.Rand, now Millis) record {
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	near := func() Millis { return now + Millis(rnd.Int64N(int64(4*day))) - 2*day }
	r := record{at: now, coupon: pick("x", "y"), user: pick("ann", "bob", "eve", "dan")}
	if rnd.IntN(4) == 0 {
		r.at = near()
	}
	switch rnd.IntN(8) {
	case 0:
		r.user = ""
	case 1, 2:
		d := Definition{
			CouponID: r.coupon, Limit: rnd.Int64N(4), Window: WindowDaily, TimeZone: pick("UTC", "UTC", "UTC", "Africa/Cairo"), Rules: 1,
		}
		if rnd.IntN(4) == 0 {
			d.Window = WindowNone
		}
		if rnd.IntN(3) == 0 {
			d.OpensAt = near()
		}
		if rnd.IntN(3) == 0 {
			d.ClosesAt = near()
		}
		r.define = &d
	}
	return r
}

func describe(records []record) string {
	var b strings.Builder
	for i, r := range records {
		fmt.Fprintf(&b, "\n%3d %s ", 3*i+1, r.at.Time().Format("01-02 15:04:05"))
		switch {
		case r.define != nil:
			fmt.Fprintf(&b, "define %+v", *r.define)
		case r.user != "":
			fmt.Fprintf(&b, "claim %s %s", r.user, r.coupon)
		default:
			b.WriteString("invalid")
		}
	}
	return b.String()
}
