package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Problem is a refusal, as RFC 9457 has it. Name is the last part of its type, such as "sold-out"; it is empty where
// the answer was no problem document, as of a proxy in front of the gateway.
type Problem struct {
	Name          string        `json:"-"`
	Status        int           `json:"-"`
	RetryAfter    time.Duration `json:"-"`
	Type          string        `json:"type"`
	Title         string        `json:"title"`
	Detail        string        `json:"detail"`
	CorrelationID string        `json:"correlation_id"`
	ClaimID       string        `json:"claim_id"`
	Grant         *Grant        `json:"grant"`
	Errors        []FieldError  `json:"errors"`
}

// Grant is what already_issued tells of the earlier grant.
type Grant struct {
	GrantID  string `json:"grant_id"`
	Sequence int64  `json:"sequence"`
	Window   string `json:"window"`
}

// FieldError is one thing that is wrong with a body or a query.
type FieldError struct {
	Pointer   string `json:"pointer"`
	Parameter string `json:"parameter"`
	Detail    string `json:"detail"`
}

func (p *Problem) Error() string {
	text := p.Name
	if text == "" {
		text = http.StatusText(p.Status)
	}
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	for _, e := range p.Errors {
		text += fmt.Sprintf("; %s%s: %s", e.Pointer, e.Parameter, e.Detail)
	}
	text += fmt.Sprintf(" (status %d", p.Status)
	if p.CorrelationID != "" {
		text += ", correlation id " + p.CorrelationID
	}
	return text + ")"
}

// Lost says that no answer came that can be read: what became of the request is not known, and another gateway may know.
func Lost(err error) bool {
	var p *Problem
	return err != nil && !errors.As(err, &p)
}

const problems = "https://firstcome.dev/problems/"

func (r reply) problem() *Problem {
	p := new(Problem)
	if err := json.Unmarshal(r.body, p); err != nil {
		*p = Problem{Detail: "the answer was no problem document"}
	}
	p.Status, p.RetryAfter = r.status, r.retryAfter
	if name, ok := strings.CutPrefix(p.Type, problems); ok {
		p.Name = name
	}
	return p
}
