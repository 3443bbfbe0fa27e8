// Package event holds the records of Firstcome: their types, their bytes and how to tell good ones from bad ones.
//
// Records are CloudEvents 1.0 in the Kafka binary content mode: attributes in headers (ce_specversion, ce_id, ce_source,
// ce_type, ce_subject, ce_time, content-type, optionally traceparent and ce_correlationid), JSON in the value, the coupon
// id as key. Encoding is deterministic: a journal record that is made again has the same bytes. It uses the standard
// library only.
//
// See https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md.
package event

import "time"

// The topics. Where several installations share a cluster, callers put their prefix in front.
const (
	TopicRequests    = "coupon.requests"
	TopicGrants      = "coupon.grants"
	TopicDeadLetters = "coupon.dead-letters"
)

// The types of records, as they stand in the header ce_type.
const (
	TypeCouponDefined  = "firstcome.coupon.defined"
	TypeClaimRequested = "firstcome.claim.requested"
	TypeCouponGranted  = "firstcome.coupon.granted"
)

// RulesVersion is the version of the decision rules that this package can carry. A definition without rules has 1.
const RulesVersion = 1

// MaxLimit is the highest limit of a coupon.
const MaxLimit = 100_000_000

// The windows of a coupon: given once, or anew each day of its time zone.
const (
	WindowNone  = "none"
	WindowDaily = "daily"
)

// Header is one Kafka record header.
type Header struct {
	Key   string
	Value []byte
}

// Record is a record as it was consumed. Key, Value and Headers may point into the fetcher's buffer; what Decode and
// DeadLetter return from them is said there.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	// LastOffset equals Offset, except for a batch that could not be read: that one stands as a single Record for all
	// its offsets, with Err set.
	LastOffset int64
	// Time is the broker's append time where LogAppendTime is set, else the producer's clock.
	Time          time.Time
	LogAppendTime bool
	Key           []byte
	Value         []byte // nil for a null value
	Headers       []Header
	// Err is a *DecodeError, set by the fetcher for a batch that could not be read. Decode returns it as it is.
	Err error
}

// Message is a record to be published.
type Message struct {
	Key     []byte
	Value   []byte
	Headers []Header
	Time    time.Time // zero: now. A topic with LogAppendTime ignores it.
}

// Meta is what a record says about itself and its way here.
type Meta struct {
	ID            string    // ce_id; empty in a request to be published: a random UUID
	Source        string    // ce_source, a URI reference; of the journal: JournalSource
	Time          time.Time // ce_time; zero in a request to be published: now
	CorrelationID string    // ce_correlationid, at most 128 printable ASCII characters, or empty
	TraceParent   string    // traceparent of W3C Trace Context, or empty
}

// Source is the place of the request that a journal record came from. A request leads to at most one journal record.
type Source struct {
	Partition int32
	Offset    int64
}

// CouponDefined defines a coupon, or defines it anew: an absent time clears it.
type CouponDefined struct {
	CouponID string
	Limit    int64     // 1 to MaxLimit
	Window   string    // WindowNone or WindowDaily
	TimeZone string    // a name of the IANA database, such as Asia/Seoul; whether it exists is the services' matter
	OpensAt  time.Time // zero: no opening time
	ClosesAt time.Time // zero: no closing time
	Rules    int       // 0 is written as RulesVersion

	// In the journal only, where Source is set: append time of the request, log time after it, place of the request.
	RequestedAt time.Time
	LogTime     time.Time
	Source      *Source
}

// ClaimRequested is one person's request for one coupon.
type ClaimRequested struct {
	CouponID string
	UserID   string
}

// CouponGranted says that a person has a coupon. The grant whose Sequence equals its Limit exhausted it.
type CouponGranted struct {
	GrantID     string // UUIDv8 made of the source; also the record's ce_id
	CouponID    string
	UserID      string
	Window      string    // "" where the coupon's window is none, else the day, 2026-11-22
	Sequence    int64     // 1 to Limit
	Limit       int64     // in force at that request
	RequestedAt time.Time // append time of the request
	LogTime     time.Time // highest append time so far in the partition
	Source      Source
}

// Event is a record that was understood.
type Event struct {
	Meta
	Type    string
	Subject string // the coupon id, or empty where the producer left it out
	Data    any    // CouponDefined, ClaimRequested or CouponGranted
}
