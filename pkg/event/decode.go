package event

import (
	"fmt"
	"math"
	"strings"
)

// Decode reads a record, in this order: not_cloudevent (the headers), unknown_type, malformed (not one strict JSON
// object), invalid (members, or a key or ce_subject that is not the value's coupon_id), unsupported_rules. The error is
// always a *DecodeError; once the headers could be read, the Event has them even then. Nothing in the Event points into
// the record.
//
// The topic's name, with any prefix, decides what belongs there: a grant is unknown_type in coupon.requests, a claim in
// coupon.grants, and a definition's requested_at, log_time and source are read in the journal only; elsewhere they are
// unknown members, which are ignored.
func Decode(r Record) (Event, error) {
	if r.Err != nil {
		return Event{}, r.Err
	}
	e, err := readHeaders(r.Headers)
	if err != nil {
		return Event{}, err
	}
	read := reader(e.Type, r)
	if read == nil {
		return e, &DecodeError{ReasonUnknownType, fmt.Sprintf("%s %.100q does not belong here", headerType, e.Type)}
	}
	if r.Value == nil {
		return e, &DecodeError{ReasonMalformed, "null value"}
	}
	o, err := ParseObject(r.Value)
	if err != nil {
		return e, &DecodeError{ReasonMalformed, err.Error()}
	}
	e.Data, err = read(o, &e, r)
	return e, err
}

type readFunc func(*Object, *Event, Record) (any, error)

func reader(kind string, r Record) readFunc {
	requests, journal := strings.HasSuffix(r.Topic, TopicRequests), strings.HasSuffix(r.Topic, TopicGrants)
	if !requests && !journal { // a topic of the reader's own: its journal records are known by their ids
		_, journal = SourceOf(r)
	}
	switch {
	case kind == TypeClaimRequested && !journal:
		return readClaim
	case kind == TypeCouponGranted && !requests:
		return readGranted
	case kind == TypeCouponDefined && journal:
		return readJournalDefined
	case kind == TypeCouponDefined:
		return readDefined
	}
	return nil
}

func readClaim(o *Object, e *Event, r Record) (any, error) {
	c := ClaimRequested{CouponID: o.String("coupon_id", true), UserID: o.String("user_id", true)}
	if o.Errors() == nil {
		c.check(o.Fail)
	}
	checkKey(o, c.CouponID, e, r)
	return result(c, o)
}

func readDefined(o *Object, e *Event, r Record) (any, error) { return defined(o, e, r, false) }

func readJournalDefined(o *Object, e *Event, r Record) (any, error) { return defined(o, e, r, true) }

func defined(o *Object, e *Event, r Record, journal bool) (any, error) {
	d := CouponDefined{CouponID: o.String("coupon_id", true), Rules: RulesVersion}
	checkKey(o, d.CouponID, e, r)
	if o.Has("rules") {
		d.Rules = int(o.Int("rules", true, 1, math.MaxInt32))
	}
	if o.Errors() == nil && d.Rules != RulesVersion {
		// Before the other members are looked at: what they mean is for those rules to say.
		return nil, &DecodeError{ReasonUnsupportedRules, fmt.Sprintf("rules %d; known are 1 to %d", d.Rules, RulesVersion)}
	}
	d.Limit = o.Int("limit", true, math.MinInt64, math.MaxInt64)
	d.Window = o.String("window", true)
	d.TimeZone = o.String("time_zone", true)
	d.OpensAt, d.ClosesAt = o.Time("opens_at"), o.Time("closes_at")
	if journal {
		s := readSource(o)
		d.Source, d.RequestedAt, d.LogTime = &s, o.time("requested_at", true), o.time("log_time", true)
		checkSource(o, s, r)
	}
	if o.Errors() == nil {
		d.check(o.Fail)
		checkAbsence(o, d)
	}
	return result(d, o)
}

// checkAbsence refuses the one time that Go takes for none, so that no opening time is lost unnoticed.
func checkAbsence(o *Object, d CouponDefined) {
	if o.Has("opens_at") && d.OpensAt.IsZero() {
		o.Fail("opens_at", "must be after 1970-01-01T00:00:00Z")
	}
	if o.Has("closes_at") && d.ClosesAt.IsZero() {
		o.Fail("closes_at", "must be after 1970-01-01T00:00:00Z")
	}
}

func readGranted(o *Object, e *Event, r Record) (any, error) {
	g := CouponGranted{
		GrantID:     o.String("grant_id", true),
		CouponID:    o.String("coupon_id", true),
		UserID:      o.String("user_id", true),
		Window:      o.String("window", true),
		Sequence:    o.Int("sequence", true, math.MinInt64, math.MaxInt64),
		Limit:       o.Int("limit", true, math.MinInt64, math.MaxInt64),
		RequestedAt: o.time("requested_at", true),
		LogTime:     o.time("log_time", true),
		Source:      readSource(o),
	}
	checkSource(o, g.Source, r)
	if g.GrantID != e.ID {
		o.Fail("grant_id", "differs from "+headerID)
	}
	if o.Errors() == nil {
		g.check(o.Fail)
	}
	checkKey(o, g.CouponID, e, r)
	return result(g, o)
}

func readSource(o *Object) Source {
	s := o.Object("source", true)
	return Source{
		Partition: int32(s.Int("partition", true, 0, maxPartitions-1)),
		Offset:    s.Int("offset", true, 0, maxOffset-1),
	}
}

func checkSource(o *Object, s Source, r Record) {
	if of, ok := SourceOf(r); !ok || of != s {
		o.Fail("source", "differs from "+headerID+" and "+headerSource)
	}
}

// checkKey refuses a record whose key or subject is not the coupon that its value speaks of: it would be counted in
// one place and looked for in another.
func checkKey(o *Object, couponID string, e *Event, r Record) {
	if string(r.Key) != couponID {
		o.Fail("coupon_id", "differs from the record's key")
	}
	if e.Subject != "" && e.Subject != couponID {
		o.Fail("coupon_id", "differs from "+headerSubject)
	}
}

func result(data any, o *Object) (any, error) {
	if errs := o.Errors(); errs != nil {
		return nil, &DecodeError{ReasonInvalid, FieldErrors(errs).Error()}
	}
	return data, nil
}
