package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Answer is what is known of a claim.
type Answer struct {
	ClaimID     string        `json:"claim_id,omitempty"` // empty for an early refusal, which no record stands behind
	CouponID    string        `json:"coupon_id,omitempty"`
	Status      string        `json:"status"`            // pending, granted, refused
	Outcome     string        `json:"outcome,omitempty"` // of a refusal: sold_out, already_issued, not_open, closed, unknown_coupon
	Window      string        `json:"window,omitempty"`
	Sequence    int64         `json:"sequence,omitempty"` // of a grant; of already_issued, that of the earlier one
	GrantID     string        `json:"grant_id,omitempty"`
	RequestedAt string        `json:"requested_at,omitempty"`
	Position    *int64        `json:"position,omitempty"` // while pending: at most so many are in front
	RetryAfter  time.Duration `json:"-"`
}

// The status of an answer.
const (
	Pending = "pending"
	Granted = "granted"
	Refused = "refused"
)

// outcomes are the refusals that answer a claim; every other problem says that it was not answered.
var outcomes = map[string]string{
	"already-issued": "already_issued", "sold-out": "sold_out", "not-open": "not_open", "closed": "closed", "unknown-coupon": "unknown_coupon",
}

// Claim asks for one. With wait > 0 it asks the gateway to wait so long for the decision. A refusal of the rules is an
// answer; a *Problem is anything else that the gateway said.
func (g *Gateway) Claim(ctx context.Context, couponID, userID string, wait time.Duration) (Answer, error) {
	body, err := json.Marshal(map[string]string{"user_id": userID})
	if err != nil {
		return Answer{}, err
	}
	r := request{method: http.MethodPost, path: couponPath(couponID) + "/claims", body: body, token: g.ClaimToken}
	if wait > 0 {
		r.prefer = fmt.Sprintf("wait=%d", max(1, int(wait/time.Second)))
	}
	return g.answer(ctx, r)
}

// Status asks what became of a claim. A retired one is a *Problem named "retired".
func (g *Gateway) Status(ctx context.Context, claimID string) (Answer, error) {
	a, err := g.answer(ctx, request{method: http.MethodGet, path: "/v1/claims/" + url.PathEscape(claimID), token: g.ClaimToken})
	if err == nil && a.ClaimID == "" {
		a.ClaimID = claimID
	}
	return a, err
}

func (g *Gateway) answer(ctx context.Context, r request) (Answer, error) {
	got, err := g.do(ctx, r)
	if err != nil {
		return refusal(err)
	}
	var told struct {
		Answer
		Grant *Grant `json:"grant"` // the earlier one, with already_issued
	}
	if err := got.decode(&told); err != nil {
		return Answer{}, err
	}
	a := told.Answer
	a.RetryAfter = got.retryAfter
	a.earlier(told.Grant)
	switch a.Status {
	case Pending, Granted, Refused:
		return a, nil
	}
	return Answer{}, fmt.Errorf("%s: status %d with the unknown claim status %q", got.what, got.status, a.Status)
}

func refusal(err error) (Answer, error) {
	var p *Problem
	if !errors.As(err, &p) || outcomes[p.Name] == "" {
		return Answer{}, err
	}
	a := Answer{ClaimID: p.ClaimID, Status: Refused, Outcome: outcomes[p.Name]}
	a.earlier(p.Grant)
	return a, nil
}

// earlier takes the grant that an already_issued came with, if one was told.
func (a *Answer) earlier(g *Grant) {
	if g != nil {
		a.Sequence, a.GrantID, a.Window = g.Sequence, g.GrantID, g.Window
	}
}
