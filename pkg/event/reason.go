package event

import "strings"

// Reason says why a record became a dead letter; the value of header fc_reason.
type Reason string

const (
	ReasonMalformed        Reason = "malformed"         // the value is not a JSON object, or the batch can't be read
	ReasonNotCloudEvent    Reason = "not_cloudevent"    // the headers are not those of a CloudEvent in binary mode with JSON
	ReasonUnknownType      Reason = "unknown_type"      // a CloudEvent that does not belong in this topic
	ReasonInvalid          Reason = "invalid"           // a member is missing, of the wrong type or out of range
	ReasonWrongPartition   Reason = "wrong_partition"   // not where Partition puts its coupon
	ReasonUnsupportedRules Reason = "unsupported_rules" // defined under rules of a later version
	ReasonTooLarge         Reason = "too_large"         // a batch that unpacks to more than is read
	ReasonUniqueViolation  Reason = "unique_violation"  // the ledger already has another grant in its place
	ReasonHandlerFailed    Reason = "handler_failed"    // a downstream's handler gave up; in its own dead letters only
)

// DecodeError says why a record can't be taken. Detail names members and headers, never a person.
type DecodeError struct {
	Reason Reason
	Detail string
}

func (e *DecodeError) Error() string { return string(e.Reason) + ": " + e.Detail }

// FieldError names one member by its JSON pointer (RFC 6901, as a URI fragment) and says what is wrong with it.
type FieldError struct {
	Pointer string `json:"pointer"` // "#/limit"
	Detail  string `json:"detail"`
}

// FieldErrors is everything that is wrong with one object.
type FieldErrors []FieldError

func (e FieldErrors) Error() string {
	var b strings.Builder
	for i, f := range e {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f.Pointer + " " + f.Detail)
	}
	return b.String()
}
