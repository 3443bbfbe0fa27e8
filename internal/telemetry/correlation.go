// Package telemetry makes one request's way visible: its correlation id and trace context, one access log line with
// latency, and metrics. Ids of people, coupons and claims are logged by Hash only.
package telemetry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"
	"sync"
)

// Header names, in requests and answers.
const (
	HeaderCorrelationID = "X-Correlation-ID"
	HeaderTraceParent   = "traceparent"
)

const maxCorrelationID = 128

type contextKey struct{}

// exchange is what the middleware and the handlers know together about one request.
type exchange struct {
	correlationID, traceParent string

	mu    sync.Mutex
	attrs []slog.Attr
	err   error
}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(contextKey{}).(*exchange)
	return x
}

// With gives a context of a request that did not come over HTTP, such as a record's. What is not valid is left away.
func With(ctx context.Context, correlationID, traceParent string) context.Context {
	x := &exchange{}
	if ValidCorrelationID(correlationID) {
		x.correlationID = correlationID
	}
	x.traceParent, _ = ParseTraceParent(traceParent)
	return context.WithValue(ctx, contextKey{}, x)
}

// CorrelationID is the request's own, or the one it was given; "" outside any request.
func CorrelationID(ctx context.Context) string {
	if x := exchangeOf(ctx); x != nil {
		return x.correlationID
	}
	return ""
}

// TraceParent is the request's W3C trace context, "" where it had none that is valid.
func TraceParent(ctx context.Context) string {
	if x := exchangeOf(ctx); x != nil {
		return x.traceParent
	}
	return ""
}

// Annotate adds to the request's access log line. Ids go in by Hash.
func Annotate(ctx context.Context, attrs ...slog.Attr) {
	if x := exchangeOf(ctx); x != nil {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.attrs = append(x.attrs, attrs...)
	}
}

// Fail puts the cause of an answer, which the person asking is not told, on the access log line. The first one counts.
func Fail(ctx context.Context, cause error) {
	if x := exchangeOf(ctx); x != nil {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.err == nil {
			x.err = cause
		}
	}
}

// Hash stands for an id in logs: 12 hex digits of its SHA-256. It has no key, so that the lines of all services about one
// id can be found together; who can guess an id can thus also find its lines.
func Hash(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:6])
}

// NewCorrelationID gives 32 random hex digits.
func NewCorrelationID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails: see its documentation
	return hex.EncodeToString(id[:])
}

// ValidCorrelationID tells whether s is 1 to 128 bytes of printable ASCII.
func ValidCorrelationID(s string) bool {
	if s == "" || len(s) > maxCorrelationID {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// ParseTraceParent reads a W3C Trace Context traceparent (Recommendation of 2021-11-23, §3.2) and gives it as version 00.
// Of a later version only the parts that version 00 knows are kept, as the recommendation asks.
func ParseTraceParent(s string) (traceParent string, ok bool) {
	const length = 55 // version 00: 2-32-16-2
	if len(s) < length || !isHex(s[:2]) || s[:2] == "ff" {
		return "", false
	}
	if s[:2] == "00" && len(s) > length || len(s) > length && s[length] != '-' {
		return "", false
	}
	traceID, parentID, flags := s[3:35], s[36:52], s[53:55]
	if s[2] != '-' || s[35] != '-' || s[52] != '-' || !isHex(traceID) || !isHex(parentID) || !isHex(flags) {
		return "", false
	}
	if strings.Trim(traceID, "0") == "" || strings.Trim(parentID, "0") == "" {
		return "", false
	}
	if s[:2] == "00" {
		return s, true
	}
	sampled := "00"
	if strings.IndexByte("13579bdf", flags[1]) >= 0 {
		sampled = "01"
	}
	return "00-" + traceID + "-" + parentID + "-" + sampled, true
}

// isHex knows lower case only, as the recommendation does.
func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
