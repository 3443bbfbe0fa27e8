package strategy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Problem is what a gateway or a ledger says to what it does not do (RFC 9457).
type Problem struct {
	Name       string        `json:"-"` // the last part of its type, such as sold-out; empty where the answer is not theirs
	Status     int           `json:"-"`
	RetryAfter time.Duration `json:"-"`
	Type       string        `json:"type"`
	Detail     string        `json:"detail"`
	ClaimID    string        `json:"claim_id"`
}

func (p *Problem) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("%s (status %d): %s", p.Name, p.Status, p.Detail), ": ")
}

type call struct {
	method, url, token, prefer string
	body                       any
}

// maxAnswer bounds what is read of an answer; a thousand grants are about half of it.
const maxAnswer = 1 << 20

// do reads a success into answer; what is refused is a *Problem, and any other error says that it is not known what became of
// the call.
func (l Log) do(ctx context.Context, c call, answer any) error {
	req, err := c.request(ctx)
	if err != nil {
		return err
	}
	client := l.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", c.method, c.url, err)
	}
	if res.StatusCode >= 300 {
		return problem(res, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s %s: status %d with a body that is not the API's: %w", c.method, c.url, res.StatusCode, err)
	}
	return nil
}

func (c call) request(ctx context.Context) (*http.Request, error) {
	var body io.Reader
	if c.body != nil {
		text, err := json.Marshal(c.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, body)
	if err != nil {
		return nil, err
	}
	if c.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.prefer != "" {
		req.Header.Set("Prefer", c.prefer)
	}
	return req, nil
}

func problem(res *http.Response, text []byte) *Problem {
	p := new(Problem)
	if json.Unmarshal(text, p) != nil {
		*p = Problem{Detail: "the answer is no problem document"}
	}
	p.Status = res.StatusCode
	p.Name = strings.TrimPrefix(p.Type, "https://firstcome.dev/problems/")
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	return p
}

// pending is how long a claim may take before it is asked for again.
const pending = 200 * time.Millisecond

// pause waits as long as the problem says, if there is one.
func pause(ctx context.Context, p *Problem) error {
	wait := pending
	if p != nil {
		wait = max(wait, p.RetryAfter)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
