package fcfs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A story is a requests log with what becomes of each record: "22 09:00 claim ann → granted #1". Times are of November
// 2026, UTC; offsets count from 0; the coupon is c unless named after the person.
type story struct{ name, text string }

var stories = []story{
	{"first come, first served", `
		22 09:00 claim ann            → unknown_coupon
		22 09:01 define limit=2       → created
		22 09:02 claim ann            → granted #1
		22 09:03 claim ann            → already_issued #1@2
		22 09:04 claim bob            → granted #2
		22 09:05 claim eve            → sold_out
		22 09:06 claim bob            → already_issued #2@4`},
	{"a raised limit opens the coupon again", `
		22 09:00 define limit=1       → created
		22 09:01 claim ann            → granted #1
		22 09:02 claim bob            → sold_out
		22 09:03 define limit=2       → changed
		22 09:04 claim bob            → granted #2`},
	{"a lowered limit takes nothing back", `
		22 09:00 define limit=3       → created
		22 09:01 claim ann            → granted #1
		22 09:02 claim bob            → granted #2
		22 09:03 define limit=1       → changed
		22 09:04 claim bob            → already_issued #2@2
		22 09:05 claim eve            → sold_out
		22 09:06 define limit=3       → changed
		22 09:07 claim eve            → granted #3`},
	{"opening times are those of the append", `
		22 08:00 define limit=9 opens=22T09:00 closes=22T18:00 → created
		22 08:59 claim ann            → not_open
		22 09:00 claim ann            → granted #1
		22 18:00 claim bob            → closed
		22 17:59 claim bob            → granted #2
		22 08:59 claim ann            → not_open`},
	{"an absent time clears it", `
		22 08:00 define limit=9 opens=22T09:00 closes=22T18:00 → created
		22 08:30 claim ann            → not_open
		22 08:31 define limit=9 closes=22T18:00 → changed
		22 08:32 claim ann            → granted #1
		22 18:30 claim bob            → closed
		22 18:31 define limit=9       → changed
		22 18:32 claim bob            → granted #2`},
	{"window and time zone are free until something is granted", `
		22 09:00 define limit=1       → created
		22 09:01 define limit=1 window=daily zone=Asia/Seoul → changed
		22 09:02 define limit=1 opens=23T00:00 → changed
		22 09:03 claim ann            → not_open
		22 09:04 define limit=1 window=daily → changed
		22 09:05 claim ann            → granted #1 of 2026-11-22
		22 09:06 define limit=1       → conflict
		22 09:07 define limit=1 window=daily zone=Asia/Seoul → conflict
		22 09:08 claim bob            → sold_out of 2026-11-22
		22 09:09 define limit=2 window=daily → changed
		22 09:10 claim bob            → granted #2 of 2026-11-22`},
	{"they stay as they are when the day's people are long dropped", `
		22 09:00 define limit=1 window=daily → created
		22 09:01 claim ann            → granted #1 of 2026-11-22
		25 09:00 invalid              →
		26 09:00 define limit=1       → conflict`},
	{"each day is a new coupon", `
		22 09:00 define limit=1 window=daily zone=Asia/Seoul → created
		22 14:59 claim ann            → granted #1 of 2026-11-22
		22 14:59 claim bob            → sold_out of 2026-11-22
		22 15:00 claim bob            → granted #1 of 2026-11-23
		22 15:00 claim ann            → sold_out of 2026-11-23
		22 14:59 claim ann            → already_issued #1@1 of 2026-11-22
		23 15:00 claim ann            → granted #1 of 2026-11-24`},
	{"a day is retired 24 h of log time after its end", `
		22 09:00 define limit=2 window=daily → created
		22 23:59 claim ann            → granted #1 of 2026-11-22
		23 23:59 claim bob            → granted #1 of 2026-11-23
		22 23:59 claim bob            → granted #2 of 2026-11-22
		24 00:00 invalid              →
		22 23:59 claim ann            → closed of 2026-11-22
		23 23:59 claim bob            → already_issued #1@2 of 2026-11-23`},
	{"a coupon is retired 24 h of log time after closing, and cannot come back", `
		22 09:00 define limit=1 closes=22T18:00 → created
		22 17:00 claim ann            → granted #1
		23 17:59 define limit=2 closes=22T18:00 → changed
		22 17:59 claim bob            → granted #2
		23 18:00 claim ann            → closed
		23 17:59 claim ann            → closed
		22 17:00 define limit=9       → retired
		22 17:00 claim eve            → closed`},
	{"closing can be put off until then", `
		22 09:00 define limit=1 closes=22T18:00 → created
		22 17:00 claim ann            → granted #1
		23 17:59 define limit=1 closes=30T00:00 → changed
		24 18:00 claim ann            → already_issued #1@1`},
	{"a closing set into the past retires at once", `
		22 09:00 define limit=2       → created
		22 17:00 claim ann            → granted #1
		24 09:00 define limit=2 closes=22T18:00 → changed
		22 17:30 claim ann            → closed
		24 09:01 define limit=2       → retired`},
	{"one coupon's definition cannot keep the log time of another back", `
		22 09:00 define limit=1 closes=22T18:00 → created
		22 17:00 claim ann            → granted #1
		29 00:00 claim bob nobody     → unknown_coupon
		22 17:00 claim bob            → closed`},
	{"the log time is that of every record, read or not", `
		22 09:00 define limit=1 closes=22T18:00 → created
		22 17:00 claim ann            → granted #1
		29 00:00 invalid              →
		22 17:00 define limit=2       → retired`},
	{"an invalid definition changes nothing", `
		22 09:00 define limit=1       → created
		22 09:01 define limit=0       → invalid
		22 09:02 define limit=2 zone=Local → invalid
		22 09:03 claim ann            → granted #1
		22 09:04 claim bob            → sold_out`},
	{"coupons share nothing but the log time", `
		22 09:00 define limit=1       → created
		22 09:00 define limit=1 coupon=d → created
		22 09:01 claim ann            → granted #1
		22 09:02 claim ann d          → granted #1
		22 09:03 claim bob d          → sold_out`},
}

func TestLog_stories(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			l := NewLog(7)
			for offset, line := range strings.Split(strings.TrimSpace(s.text), "\n") {
				do, want, _ := strings.Cut(strings.TrimSpace(line), "→")
				r, err := parseRecord(do)
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if got := r.tell(l, int64(offset)); got != strings.TrimSpace(want) {
					t.Fatalf("%s\nbut it is: %s", strings.TrimSpace(line), got)
				}
			}
		})
	}
}

// record is one request of a test's log.
type record struct {
	at           Millis
	define       *Definition
	coupon, user string // "": neither definition nor claim
}

func (r record) decide(l *Log, offset int64) (Decision, *Fact) {
	switch {
	case r.define != nil:
		outcome, f := l.Define(offset, r.at, *r.define)
		return Decision{Outcome: outcome}, f
	case r.user != "":
		return l.Claim(offset, r.at, r.coupon, r.user)
	}
	l.Invalid(offset, r.at)
	return Decision{}, nil
}

func (r record) tell(l *Log, offset int64) string {
	d, f := r.decide(l, offset)
	var told string
	switch d.Outcome {
	case None:
		return ""
	case Granted:
		told = fmt.Sprintf("granted #%d", d.Sequence)
	case AlreadyIssued:
		told = fmt.Sprintf("already_issued #%d@%d", d.Earlier.Sequence, d.Earlier.Offset)
	default:
		told = d.Outcome.String()
	}
	if takesEffect := d.Outcome == Granted || d.Outcome == Created || d.Outcome == Changed; takesEffect != (f != nil) {
		told += fmt.Sprintf(" with fact %v", f)
	}
	if d.Window != "" {
		told += " of " + d.Window
	}
	return told
}

func parseRecord(text string) (record, error) {
	words := strings.Fields(text)
	if len(words) < 3 {
		return record{}, errors.New("too short")
	}
	when, err := parseTime(words[0] + "T" + words[1])
	if err != nil {
		return record{}, err
	}
	r := record{at: when, coupon: "c"}
	switch words[2] {
	case "claim":
		r.user = words[3]
		if len(words) > 4 {
			r.coupon = words[4]
		}
	case "define":
		d := Definition{CouponID: "c", Window: WindowNone, TimeZone: "UTC", Rules: 1}
		for _, w := range words[3:] {
			if err := set(&d, w); err != nil {
				return record{}, err
			}
		}
		r.define = &d
	}
	return r, nil
}

func set(d *Definition, word string) (err error) {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "coupon":
		d.CouponID = value
	case "limit":
		d.Limit, err = strconv.ParseInt(value, 10, 64)
	case "window":
		d.Window = Window(value)
	case "zone":
		d.TimeZone = value
	case "opens":
		d.OpensAt, err = parseTime(value)
	case "closes":
		d.ClosesAt, err = parseTime(value)
	default:
		err = errors.New("unknown word " + word)
	}
	return err
}

func parseTime(value string) (Millis, error) {
	v, err := time.Parse("2006-01-02T15:04", "2026-11-"+value)
	return FromTime(v), err
}
