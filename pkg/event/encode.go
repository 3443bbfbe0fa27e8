package event

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Message makes the record of a definition: for the requests topic, or for the journal where Source is set. A journal
// record needs m.ID (the UUID of its source) and m.Source; its times are RequestedAt. An error is FieldErrors, a
// *DecodeError with ReasonUnsupportedRules, or says what is wrong with m.
func (d CouponDefined) Message(m Meta) (Message, error) {
	if d.Rules == 0 {
		d.Rules = RulesVersion
	}
	if d.Rules != RulesVersion {
		return Message{}, &DecodeError{ReasonUnsupportedRules, fmt.Sprintf("rules %d; known are 1 to %d", d.Rules, RulesVersion)}
	}
	if err := problems(d.check); err != nil {
		return Message{}, err
	}
	if d.Source == nil {
		return requestMessage(m, TypeCouponDefined, d.CouponID, d.value())
	}
	return journalMessage(m, TypeCouponDefined, d.CouponID, d.value(), d.RequestedAt, *d.Source)
}

// Message makes the record of a claim. An error is FieldErrors, or says what is wrong with m.
func (c ClaimRequested) Message(m Meta) (Message, error) {
	if err := problems(c.check); err != nil {
		return Message{}, err
	}
	return requestMessage(m, TypeClaimRequested, c.CouponID, c.value())
}

// Message makes the journal record of a grant. m.ID may be empty, since it is GrantID; m.Source is needed; its times are
// RequestedAt. An error is FieldErrors, or says what is wrong with m.
func (g CouponGranted) Message(m Meta) (Message, error) {
	if err := problems(g.check); err != nil {
		return Message{}, err
	}
	if m.ID == "" {
		m.ID = g.GrantID
	}
	if m.ID != g.GrantID {
		return Message{}, errors.New("event: a grant's id is its grant id")
	}
	return journalMessage(m, TypeCouponGranted, g.CouponID, g.value(), g.RequestedAt, g.Source)
}

func problems(check func(fails)) error {
	var errs FieldErrors
	check(func(name, detail string) { errs = append(errs, FieldError{"#/" + name, detail}) })
	if errs != nil {
		return errs
	}
	return nil
}

func requestMessage(m Meta, kind, couponID string, value []byte) (Message, error) {
	if m.ID == "" {
		m.ID = randomID()
	}
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	return message(m, kind, couponID, value)
}

func journalMessage(m Meta, kind, couponID string, value []byte, requestedAt time.Time, s Source) (Message, error) {
	m.Time = requestedAt
	msg, err := message(m, kind, couponID, value)
	if err != nil {
		return Message{}, err
	}
	if of, ok := SourceOf(Record{Headers: msg.Headers}); !ok || of != s {
		return Message{}, errors.New("event: id and source of a journal record must name the place of its request")
	}
	return msg, nil
}

func message(m Meta, kind, couponID string, value []byte) (Message, error) {
	if err := m.check(); err != nil {
		return Message{}, err
	}
	headers := make([]Header, 0, len(attributeNames))
	add := func(key, value string) { headers = append(headers, Header{key, []byte(value)}) }
	add(headerSpecVersion, specVersion)
	add(headerID, m.ID)
	add(headerSource, m.Source)
	add(headerType, kind)
	add(headerSubject, couponID)
	add(headerTime, string(appendTime(nil, m.Time)))
	add(headerContentType, contentType)
	if m.TraceParent != "" {
		add(headerTraceParent, m.TraceParent)
	}
	if m.CorrelationID != "" {
		add(headerCorrelationID, m.CorrelationID)
	}
	return Message{Key: []byte(couponID), Value: value, Headers: headers, Time: epochIfZero(m.Time)}, nil
}

// epochIfZero keeps a Kafka timestamp of 0 from being taken for "now".
func epochIfZero(t time.Time) time.Time {
	if t.IsZero() {
		return time.UnixMilli(0).UTC()
	}
	return cut(t)
}

func (m Meta) check() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New("event: "+what))
		}
	}
	need(m.ID != "" && checkText(m.ID) == nil, "id must be UTF-8 without control characters")
	need(m.Source != "" && checkText(m.Source) == nil, "source must be a URI reference")
	need(writable(m.Time), "time must be within the years 0 to 9999")
	need(m.CorrelationID == "" || isCorrelationID(m.CorrelationID), "correlation id must be at most 128 printable ASCII characters")
	need(m.TraceParent == "" || isTraceParent(m.TraceParent), "traceparent must have the form of W3C Trace Context")
	return errors.Join(errs...)
}

// The values are written by hand: the same bytes in every version of Go, and the members in the order of the design.

func (d CouponDefined) value() []byte {
	b := appendMember(make([]byte, 0, 320), `{"coupon_id":`, d.CouponID)
	b = strconv.AppendInt(append(b, `,"limit":`...), d.Limit, 10)
	b = appendMember(b, `,"window":`, d.Window)
	b = appendMember(b, `,"time_zone":`, d.TimeZone)
	if !d.OpensAt.IsZero() {
		b = appendTimeMember(b, `,"opens_at":`, d.OpensAt)
	}
	if !d.ClosesAt.IsZero() {
		b = appendTimeMember(b, `,"closes_at":`, d.ClosesAt)
	}
	b = strconv.AppendInt(append(b, `,"rules":`...), int64(d.Rules), 10)
	if d.Source != nil {
		b = appendJournal(b, d.RequestedAt, d.LogTime, *d.Source)
	}
	return append(b, '}')
}

func (c ClaimRequested) value() []byte {
	b := appendMember(make([]byte, 0, 32+len(c.CouponID)+len(c.UserID)), `{"coupon_id":`, c.CouponID)
	return append(appendMember(b, `,"user_id":`, c.UserID), '}')
}

func (g CouponGranted) value() []byte {
	b := appendMember(make([]byte, 0, 320+len(g.UserID)), `{"grant_id":`, g.GrantID)
	b = appendMember(b, `,"coupon_id":`, g.CouponID)
	b = appendMember(b, `,"user_id":`, g.UserID)
	b = appendMember(b, `,"window":`, g.Window)
	b = strconv.AppendInt(append(b, `,"sequence":`...), g.Sequence, 10)
	b = strconv.AppendInt(append(b, `,"limit":`...), g.Limit, 10)
	return append(appendJournal(b, g.RequestedAt, g.LogTime, g.Source), '}')
}

func appendJournal(b []byte, requestedAt, logTime time.Time, s Source) []byte {
	b = appendTimeMember(b, `,"requested_at":`, requestedAt)
	b = appendTimeMember(b, `,"log_time":`, logTime)
	b = strconv.AppendInt(append(b, `,"source":{"partition":`...), int64(s.Partition), 10)
	return append(strconv.AppendInt(append(b, `,"offset":`...), s.Offset, 10), '}')
}

func appendTimeMember(b []byte, name string, t time.Time) []byte {
	return append(appendTime(append(append(b, name...), '"'), t), '"')
}

// appendMember writes a string that was checked: UTF-8 without control characters, so that only two need an escape.
func appendMember(b []byte, name, value string) []byte {
	b = append(append(b, name...), '"')
	for i := 0; i < len(value); i++ {
		if value[i] == '"' || value[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, value[i])
	}
	return append(b, '"')
}

// randomID is a UUIDv4 (RFC 9562 §5.4).
func randomID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails: it ends the program where the system has no randomness
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
