package coupontest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
)

// Define defines a coupon, or defines it anew, at the gateway and returns when that is in force: claims published from then
// on are decided by it. RequestedAt, LogTime and Source are not used.
func (r *Running) Define(t testing.TB, d event.CouponDefined) {
	t.Helper()
	body := struct {
		Limit    int64      `json:"limit"`
		Window   string     `json:"window,omitempty"`
		TimeZone string     `json:"time_zone,omitempty"`
		OpensAt  *time.Time `json:"opens_at,omitempty"`
		ClosesAt *time.Time `json:"closes_at,omitempty"`
	}{d.Limit, d.Window, d.TimeZone, ifSet(d.OpensAt), ifSet(d.ClosesAt)}
	must(t, "define "+d.CouponID, func(ctx context.Context) error {
		a, err := r.ask(ctx, http.MethodPut, "/v1/coupons/"+url.PathEscape(d.CouponID), body)
		if err == nil && a.status != http.StatusCreated && a.status != http.StatusOK {
			err = a.unexpected()
		}
		return err
	})
}

func ifSet(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// Outcomes of a claim that are refusals; duplicate_request is the gateway's own, for a person who asked within the last
// minute.
var refusals = []string{"already_issued", "sold_out", "not_open", "closed", "unknown_coupon", "duplicate_request"}

// Claim claims a coupon at the gateway for each of the people, one after the other, so that they stand in the log in that
// order. It waits for each outcome and returns them: granted, already_issued, sold_out, not_open, closed, unknown_coupon, or
// duplicate_request for who asked at the gateway within the last minute. Whom the gateway tells to ask again (503), as while
// servers are away, asks again. Any other answer fails the test.
func (r *Running) Claim(t testing.TB, couponID string, users ...string) []string {
	t.Helper()
	outcomes := make([]string, len(users))
	for i, user := range users {
		must(t, fmt.Sprintf("claim %s for %s", couponID, user), func(ctx context.Context) (err error) {
			outcomes[i], err = r.claim(ctx, couponID, user)
			return err
		})
	}
	return outcomes
}

func (r *Running) claim(ctx context.Context, couponID, user string) (string, error) {
	a, err := r.ask(ctx, http.MethodPost, "/v1/coupons/"+url.PathEscape(couponID)+"/claims", map[string]string{"user_id": user})
	if err != nil {
		return "", err
	}
	var told struct {
		Status any // of a claim a word, of a problem a number
		Type   string
	}
	if err := json.Unmarshal(a.body, &told); err != nil {
		return "", a.unexpected()
	}
	problem := told.Type[strings.LastIndex(told.Type, "/")+1:]
	switch outcome := strings.ReplaceAll(problem, "-", "_"); {
	case a.status == http.StatusOK && told.Status == "granted":
		return "granted", nil
	case slices.Contains(refusals, outcome):
		return outcome, nil
	}
	return "", a.unexpected()
}

// answer is what the gateway said to a request.
type answer struct {
	request string
	status  int
	body    []byte
}

func (a answer) unexpected() error {
	return fmt.Errorf("%s: %d %s", a.request, a.status, bytes.TrimSpace(a.body))
}

// ask asks until the answer is not "ask again", and returns the last one.
func (r *Running) ask(ctx context.Context, method, path string, body any) (answer, error) {
	content, err := json.Marshal(body)
	if err != nil {
		return answer{}, err
	}
	var backoff broker.Backoff
	for {
		a, err := r.askOnce(ctx, method, path, content)
		if err != nil || a.status != http.StatusServiceUnavailable || backoff.Wait(ctx) != nil {
			return a, err
		}
	}
}

func (r *Running) askOnce(ctx context.Context, method, path string, content []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.GatewayURL+path, bytes.NewReader(content))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Prefer", "wait=25") // less than stepTimeout
	res, err := r.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{method + " " + path, res.StatusCode, text}, err
}
