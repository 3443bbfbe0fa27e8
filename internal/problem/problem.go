// Package problem is the one vocabulary of refusals over HTTP: problem details as of RFC 9457, with a correlation id.
package problem

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Names of all problems; the type is BaseURL and the name.
const (
	BaseURL = "https://firstcome.dev/problems/"

	Malformed            = "malformed"
	Unauthorized         = "unauthorized"
	Forbidden            = "forbidden"
	UnknownCoupon        = "unknown-coupon"
	UnknownClaim         = "unknown-claim"
	NotGranted           = "not-granted"
	NotFound             = "not-found"
	MethodNotAllowed     = "method-not-allowed"
	DuplicateRequest     = "duplicate-request"
	AlreadyIssued        = "already-issued"
	SoldOut              = "sold-out"
	NotOpen              = "not-open"
	Closed               = "closed"
	DefinitionConflict   = "definition-conflict"
	Retired              = "retired"
	TooLarge             = "too-large"
	UnsupportedMediaType = "unsupported-media-type"
	Invalid              = "invalid"
	IdempotencyKeyReused = "idempotency-key-reused"
	RateLimited          = "rate-limited"
	Internal             = "internal"
	Unavailable          = "unavailable"
)

// Kind is what all problems of one name have in common.
type Kind struct {
	Name, Title string
	Status      int
}

var kinds = []Kind{
	{Malformed, "Malformed request", http.StatusBadRequest},
	{Unauthorized, "A valid token is needed", http.StatusUnauthorized},
	{Forbidden, "Not allowed with this token", http.StatusForbidden},
	{UnknownCoupon, "No such coupon", http.StatusNotFound},
	{UnknownClaim, "No such claim", http.StatusNotFound},
	{NotGranted, "Not granted", http.StatusNotFound},
	{NotFound, "No such resource", http.StatusNotFound},
	{MethodNotAllowed, "Method not allowed", http.StatusMethodNotAllowed},
	{DuplicateRequest, "The same request was just made", http.StatusConflict},
	{AlreadyIssued, "Already issued to this person", http.StatusConflict},
	{SoldOut, "Sold out", http.StatusConflict},
	{NotOpen, "Not open yet", http.StatusConflict},
	{Closed, "Closed", http.StatusConflict},
	{DefinitionConflict, "The definition conflicts with what was granted", http.StatusConflict},
	{Retired, "Retired", http.StatusGone},
	{TooLarge, "Request too large", http.StatusRequestEntityTooLarge},
	{UnsupportedMediaType, "The content type must be application/json", http.StatusUnsupportedMediaType},
	{Invalid, "Invalid request", http.StatusUnprocessableEntity},
	{IdempotencyKeyReused, "The Idempotency-Key belongs to another request", http.StatusUnprocessableEntity},
	{RateLimited, "Too many requests", http.StatusTooManyRequests},
	{Internal, "Internal error", http.StatusInternalServerError},
	{Unavailable, "Not available right now", http.StatusServiceUnavailable},
}

var kindByName = func() map[string]Kind {
	m := make(map[string]Kind, len(kinds))
	for _, k := range kinds {
		m[k.Name] = k
	}
	return m
}()

// Kinds gives all that there are, by status.
func Kinds() []Kind { return append([]Kind(nil), kinds...) }

// FieldError is one thing wrong with a request: Pointer into its body ("#/limit", RFC 6901) or Parameter of its query.
type FieldError struct {
	Pointer   string `json:"pointer,omitempty"`
	Parameter string `json:"parameter,omitempty"`
	Detail    string `json:"detail"`
}

// Problem is a refusal. It is an error, so that it can be returned from the depths; Write shows it to the person asking,
// all but the cause.
type Problem struct {
	Name       string        // one of the names above
	Status     int           // 0: that of the name
	Detail     string        // a sentence for this one case, or ""
	Errors     []FieldError  // of malformed and invalid requests
	RetryAfter time.Duration // sent in whole seconds, rounded up; 429 and 503 always have one, 1 s where this is 0
	Extra      map[string]any
	cause      error
}

// New makes a problem; a name that is not one of the above panics, as would a typing error in any other table.
func New(name, detail string) *Problem {
	k, ok := kindByName[name]
	if !ok {
		panic("problem: no such name: " + name)
	}
	return &Problem{Name: k.Name, Status: k.Status, Detail: detail}
}

// InvalidFields is the problem "invalid" of a request with these errors.
func InvalidFields(errs ...FieldError) *Problem {
	p := New(Invalid, "")
	p.Errors = errs
	return p
}

// Because keeps the cause, which goes to the log and never to the person asking.
func (p *Problem) Because(cause error) *Problem {
	p.cause = cause
	return p
}

// With adds a member to the answer. The members that every problem has cannot be replaced.
func (p *Problem) With(member string, value any) *Problem {
	if p.Extra == nil {
		p.Extra = map[string]any{}
	}
	p.Extra[member] = value
	return p
}

// After sets when asking again makes sense.
func (p *Problem) After(d time.Duration) *Problem {
	p.RetryAfter = d
	return p
}

// Error of a nil Problem that became an error by mistake is a sentence, not a panic.
func (p *Problem) Error() string {
	if p == nil {
		return "a nil problem"
	}
	text := p.Name
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	for _, e := range p.Errors {
		text += fmt.Sprintf("; %s%s %s", e.Pointer, e.Parameter, e.Detail)
	}
	if p.cause != nil {
		text += ": " + p.cause.Error()
	}
	return text
}

func (p *Problem) Unwrap() error {
	if p == nil {
		return nil
	}
	return p.cause
}

// From is the one translation of errors: a Problem somewhere in err is itself, a body over its limit is too-large,
// anything else is internal, without a word about it. nil gives nil.
func From(err error) *Problem {
	if err == nil {
		return nil
	}
	var p *Problem
	if errors.As(err, &p) && p != nil {
		return p
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return New(TooLarge, fmt.Sprintf("the body may have %d bytes", large.Limit))
	}
	return New(Internal, "").Because(err)
}
