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
	Name       string        `json:"-"` // the last part of its type, such as not-open; empty where the answer is not theirs
	Status     int           `json:"-"` // of HTTP; 0 where it was the log that refused
	RetryAfter time.Duration `json:"-"`
	Type       string        `json:"type"`
	Detail     string        `json:"detail"`
	ClaimID    string        `json:"claim_id"`
}

func (p *Problem) Error() string {
	said := p.Name
	if p.Status != 0 {
		said = strings.TrimSpace(fmt.Sprintf("%s (status %d)", p.Name, p.Status))
	}
	return strings.TrimSuffix(said+": "+p.Detail, ": ")
}

type call struct {
	method, url, token, prefer string
	body                       any
}

// maxAnswer bounds what is read of an answer; a thousand grants to people with the longest ids are about half of it.
const maxAnswer = 4 << 20

// do reads a success into answer; what is refused is a *Problem, and any other error says that it is not known what became of
// the call. It returns also what the answer says of when to ask again.
func (l Log) do(ctx context.Context, c call, answer any) (again time.Duration, err error) {
	req, err := c.request(ctx)
	if err != nil {
		return 0, err
	}
	client := l.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = fmt.Errorf("it is longer than %d bytes", maxAnswer)
	}
	if err != nil {
		return 0, fmt.Errorf("%s %s: read the answer: %w", c.method, c.url, err)
	}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		again = time.Duration(seconds) * time.Second
	}
	if res.StatusCode >= 300 {
		return again, problem(res.StatusCode, text, again)
	}
	if answer == nil {
		return again, nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return 0, fmt.Errorf("%s %s: status %d with a body that is not the API's: %w", c.method, c.url, res.StatusCode, err)
	}
	return again, nil
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

func problem(status int, text []byte, again time.Duration) *Problem {
	p := new(Problem)
	if json.Unmarshal(text, p) != nil {
		*p = Problem{Detail: "the answer is no problem document"}
	}
	p.Status, p.RetryAfter = status, again
	p.Name = strings.TrimPrefix(p.Type, "https://firstcome.dev/problems/")
	return p
}

// pending is how long a claim may take, where its answer does not say, before it is asked for again.
const pending = 200 * time.Millisecond

// pause waits as long as the answer says.
func pause(ctx context.Context, again time.Duration) error {
	timer := time.NewTimer(max(pending, again))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
