package problem

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/firstcome/firstcome/internal/telemetry"
)

// head is the members that every problem may have, in the order in which they are read.
type head struct {
	Type          string       `json:"type"`
	Title         string       `json:"title"`
	Status        int          `json:"status"`
	Detail        string       `json:"detail,omitempty"`
	CorrelationID string       `json:"correlation_id"`
	Errors        []FieldError `json:"errors,omitempty"`
}

var reserved = []string{"type", "title", "status", "detail", "correlation_id", "errors"}

// Write answers r with p, and puts its name and cause on the access log line. It is for r's own request: outside of
// telemetry.HTTP a correlation id is made up. A nil p is internal.
func Write(w http.ResponseWriter, r *http.Request, p *Problem) {
	if p == nil {
		p = New(Internal, "")
	}
	p = p.complete()
	id := telemetry.CorrelationID(r.Context())
	if id == "" {
		id = telemetry.NewCorrelationID()
		w.Header().Set(telemetry.HeaderCorrelationID, id)
	}
	body, err := p.body(id)
	if err != nil {
		p = New(Internal, "").Because(err)
		body, _ = p.body(id) // strings and numbers alone
	}
	telemetry.Annotate(r.Context(), slog.String("problem", p.Name))
	if p.cause != nil && !errors.Is(p.cause, context.Canceled) { // whoever asked has gone: nothing is broken
		telemetry.Fail(r.Context(), p.cause)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store") // a refusal is true now; a 404 or 410 would otherwise be kept
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if p.RetryAfter > 0 {
		seconds := (p.RetryAfter + time.Second - 1) / time.Second
		h.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the person has gone: nobody is left to be told
}

// complete fills in what a Problem made by hand may lack.
func (p *Problem) complete() *Problem {
	k, ok := kindByName[p.Name]
	if !ok {
		return New(Internal, "").Because(p)
	}
	c := *p
	if c.Status == 0 {
		c.Status = k.Status
	}
	if c.RetryAfter <= 0 && (c.Status == http.StatusTooManyRequests || c.Status == http.StatusServiceUnavailable) {
		c.RetryAfter = time.Second
	}
	return &c
}

func (p *Problem) body(correlationID string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // a detail may quote what was sent; nosniff and the content type keep it from being a page
	err := enc.Encode(head{
		BaseURL + p.Name, kindByName[p.Name].Title, p.Status, p.Detail, correlationID, p.Errors,
	})
	if err != nil {
		return nil, err
	}
	for _, member := range slices.Sorted(maps.Keys(p.Extra)) {
		if slices.Contains(reserved, member) {
			continue
		}
		b.Truncate(b.Len() - len("}\n"))
		b.WriteByte(',')
		if err := enc.Encode(member); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - len("\n"))
		b.WriteByte(':')
		if err := enc.Encode(p.Extra[member]); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - len("\n"))
		b.WriteString("}\n")
	}
	return b.Bytes(), nil
}
