package event

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxCouponID = 100
	maxUserID   = 200
	maxTimeZone = 64
)

// CheckCouponID tells whether an id is [A-Za-z0-9_-][A-Za-z0-9._~-]{0,99}: it stands in URLs, Redis keys and file names
// as it is.
func CheckCouponID(id string) error {
	if id == "" || len(id) > maxCouponID {
		return fmt.Errorf("must have 1 to %d characters", maxCouponID)
	}
	for i := 0; i < len(id); i++ {
		c := id[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
		if !letter && (i == 0 || c != '.' && c != '~') {
			return errors.New("must be letters, digits and . _ ~ -, and begin with none of . and ~")
		}
	}
	return nil
}

// CheckUserID tells whether an id is 1 to 200 bytes of UTF-8 without control characters. Ids are compared byte by byte,
// so there is no normalisation.
func CheckUserID(id string) error {
	if id == "" || len(id) > maxUserID {
		return fmt.Errorf("must have 1 to %d bytes", maxUserID)
	}
	return checkText(id)
}

func checkText(s string) error {
	ascii := true
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return errControl
		}
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	if ascii {
		return nil
	}
	if !utf8.ValidString(s) {
		return errors.New("must be UTF-8")
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return errControl
	}
	return nil
}

var errControl = errors.New("must have no control characters")

// fails takes what is wrong with a member; the same checks serve reading and writing.
type fails func(name, detail string)

func (f fails) err(name string, err error) {
	if err != nil {
		f(name, err.Error())
	}
}

func (d CouponDefined) check(fail fails) {
	fail.err("coupon_id", CheckCouponID(d.CouponID))
	checkLimit(d.Limit, fail)
	if d.Window != WindowNone && d.Window != WindowDaily {
		fail("window", `must be "none" or "daily"`)
	}
	checkTimeZone(d.TimeZone, fail)
	checkOpening("opens_at", d.OpensAt, fail)
	checkOpening("closes_at", d.ClosesAt, fail)
	if !d.OpensAt.IsZero() && !d.ClosesAt.IsZero() && !cut(d.ClosesAt).After(cut(d.OpensAt)) {
		fail("closes_at", "must be after opens_at")
	}
	if d.Source != nil {
		checkJournal(d.RequestedAt, d.LogTime, *d.Source, fail)
	}
}

func (c ClaimRequested) check(fail fails) {
	fail.err("coupon_id", CheckCouponID(c.CouponID))
	fail.err("user_id", CheckUserID(c.UserID))
}

func (g CouponGranted) check(fail fails) {
	fail.err("coupon_id", CheckCouponID(g.CouponID))
	fail.err("user_id", CheckUserID(g.UserID))
	if s, ok := parseID(g.GrantID); !ok || s != g.Source {
		fail("grant_id", "must be the UUID of its source")
	}
	if _, err := time.Parse(time.DateOnly, g.Window); err != nil && g.Window != "" {
		fail("window", "must be empty or a day such as 2026-11-22")
	}
	checkLimit(g.Limit, fail)
	if g.Sequence < 1 || g.Sequence > g.Limit {
		fail("sequence", "must be between 1 and limit")
	}
	checkJournal(g.RequestedAt, g.LogTime, g.Source, fail)
}

func checkLimit(limit int64, fail fails) {
	if limit < 1 || limit > MaxLimit {
		fail("limit", fmt.Sprintf("must be between 1 and %d", MaxLimit))
	}
}

func checkTimeZone(name string, fail fails) {
	switch {
	case name == "" || len(name) > maxTimeZone:
		fail("time_zone", fmt.Sprintf("must have 1 to %d characters", maxTimeZone))
	case name == "Local":
		fail("time_zone", "must be the name of a time zone, such as Asia/Seoul")
	default:
		fail.err("time_zone", checkText(name))
	}
}

// checkOpening keeps opening times to those that every part can hold: as Unix milliseconds where 0 means absent, and as
// RFC 3339 with four digits of year.
func checkOpening(name string, t time.Time, fail fails) {
	if !t.IsZero() && (t.UnixMilli() <= 0 || t.UnixMilli() > latest) {
		fail(name, "must be after 1970-01-01T00:00:00Z and before the year 10000")
	}
}

func checkJournal(requestedAt, logTime time.Time, s Source, fail fails) {
	if !writable(requestedAt) {
		fail("requested_at", "must be within the years 0 to 9999")
	}
	if !writable(logTime) {
		fail("log_time", "must be within the years 0 to 9999")
	}
	if s.Partition < 0 || s.Partition >= maxPartitions {
		fail("source", fmt.Sprintf("partition must be between 0 and %d", maxPartitions-1))
	}
	if s.Offset < 0 || s.Offset >= maxOffset {
		fail("source", "offset must be between 0 and 2^48-1")
	}
}
