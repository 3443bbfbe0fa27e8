package strategy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Log is the pipeline of this repository, spoken to over the HTTP of its gateway and its ledger: every claim is appended to a
// log in Kafka before it is answered, and the log alone decides.
//
// Guarantees: never more than the limit, never fewer (who was refused by the log, and not at once by the gateway, is heard
// again a minute after, also where the limit rose), nobody twice, in the order of the log; through the death of any process, and
// through a Redis that comes back empty or older. Every decision can be proven later.
//
// Costs: a Kafka, a Redis, a Postgres and three services; a claim waits for an append, a batch and a message.
//
// Keys: none of its own.
//
// Breaks: nothing that is known. While its servers are away nobody is answered.
type Log struct {
	GatewayURL string       // such as http://localhost:8080
	LedgerURL  string       // such as http://localhost:8082
	AdminToken string       // for SetLimit
	ClaimToken string       // for Claim
	ReadToken  string       // of the ledger, for Issued
	HTTP       *http.Client // nil: http.DefaultClient; the gateway is asked to answer within half of its Timeout, if it has one
}

// Claim asks, and waits until the log has decided or ctx ends. Where the gateway says to ask again, it does, for as long as ctx
// lets it: nobody gets two.
// If an earlier request of the person was granted, this one is ErrAlreadyIssued, also where that answer was lost; for a
// minute the gateway tells whom the log refused the same again, also where the limit was raised meanwhile. A coupon that is not
// open, or closed, is a *Problem: its Name is not-open or closed. So is a person who asks too often: rate-limited, where nothing
// was decided.
func (l Log) Claim(ctx context.Context, couponID, userID string) (Answer, error) {
	if err := l.check(couponID, userID); err != nil {
		return "", err
	}
	ask := call{
		method: http.MethodPost, url: l.gateway("/v1/coupons/" + couponID + "/claims"), token: l.ClaimToken,
		body: map[string]string{"user_id": userID}, prefer: fmt.Sprintf("wait=%d", l.patience()),
	}
	earlier := false // another request of this person is being decided
	for {
		var claim struct {
			ClaimID string `json:"claim_id"`
			Status  string `json:"status"`
			Outcome string `json:"outcome"`
		}
		again, err := l.do(ctx, ask, &claim)
		var problem *Problem
		switch {
		case err == nil && claim.Status == "granted" && earlier:
			return "", ErrAlreadyIssued
		case err == nil && claim.Status == "granted":
			return Issued, nil
		case err == nil && claim.Status == "refused":
			name := strings.ReplaceAll(claim.Outcome, "_", "-") // as at the door
			return "", refusal(name, fmt.Errorf("claim coupon %s: %w", couponID, &Problem{Name: name, ClaimID: claim.ClaimID}))
		case err == nil && claim.Status != "pending":
			return "", fmt.Errorf("claim coupon %s: the unknown status %q", couponID, claim.Status)
		case err == nil && claim.ClaimID != "":
			ask = l.status(claim.ClaimID)
		case err == nil: // the status was asked for, and is asked for again
		case errors.As(err, &problem) && problem.Name == "duplicate-request" && problem.ClaimID != "":
			ask, earlier = l.status(problem.ClaimID), true
			continue
		case errors.As(err, &problem) && again > 0 && problem.Status != http.StatusTooManyRequests:
		case errors.As(err, &problem):
			return "", refusal(problem.Name, fmt.Errorf("claim coupon %s: %w", couponID, problem))
		default:
			return "", fmt.Errorf("claim coupon %s: %w", couponID, err)
		}
		if err := pause(ctx, again); err != nil {
			return "", err
		}
	}
}

func (l Log) check(couponID string, userIDs ...string) error {
	if l.GatewayURL == "" {
		return fmt.Errorf("%w strategy: GatewayURL is empty", ErrInvalid)
	}
	return checkIDs(couponID, userIDs...)
}

// patience is for how many seconds the gateway may keep a claim.
func (l Log) patience() int {
	if l.HTTP == nil || l.HTTP.Timeout == 0 {
		return maxPatience
	}
	return min(maxPatience, int(l.HTTP.Timeout/(2*time.Second)))
}

const maxPatience = 30 // more is taken as that

func (l Log) gateway(path string) string { return strings.TrimRight(l.GatewayURL, "/") + path }

func (l Log) status(claimID string) call {
	return call{method: http.MethodGet, url: l.gateway("/v1/claims/" + url.PathEscape(claimID)), token: l.ClaimToken}
}

// refusal is the error that the name of a problem stands for.
func refusal(name string, other error) error {
	switch name {
	case "unknown-coupon":
		return ErrCouponNotFound
	case "already-issued":
		return ErrAlreadyIssued
	case "sold-out":
		return ErrExhausted
	}
	return other
}

// SetLimit defines the coupon: it is given once to each person, from now on and without an end. One that was given out with
// a window, or is retired, is a *Problem: definition-conflict, retired.
func (l Log) SetLimit(ctx context.Context, couponID string, limit int64) error {
	if err := l.check(couponID); err != nil {
		return err
	}
	if err := checkLimit(couponID, limit); err != nil {
		return err
	}
	put := call{method: http.MethodPut, url: l.gateway("/v1/coupons/" + couponID), token: l.AdminToken, body: map[string]int64{"limit": limit}}
	if _, err := l.do(ctx, put, nil); err != nil {
		return fmt.Errorf("set the limit of coupon %s: %w", couponID, err)
	}
	return nil
}

// Issued lists everyone in the order of the log. It asks the ledger, which is behind the answers for a moment.
func (l Log) Issued(ctx context.Context, couponID string) ([]string, error) {
	if l.LedgerURL == "" {
		return nil, fmt.Errorf("%w strategy: LedgerURL is empty", ErrInvalid)
	}
	if _, err := l.Remaining(ctx, couponID); err != nil {
		return nil, err
	}
	query := url.Values{"coupon_id": {couponID}, "limit": {"1000"}}
	users := []string{}
	for {
		var page struct {
			Grants []struct {
				UserID string `json:"user_id"`
			} `json:"grants"`
			Next string `json:"next"`
		}
		ask := call{method: http.MethodGet, url: strings.TrimRight(l.LedgerURL, "/") + "/v1/grants?" + query.Encode(), token: l.ReadToken}
		if _, err := l.do(ctx, ask, &page); err != nil {
			return nil, fmt.Errorf("list who has coupon %s: %w", couponID, err)
		}
		for _, grant := range page.Grants {
			users = append(users, grant.UserID)
		}
		if page.Next == "" {
			return users, nil
		}
		query.Set("after", page.Next)
	}
}

// Remaining asks the gateway.
func (l Log) Remaining(ctx context.Context, couponID string) (int64, error) {
	if err := l.check(couponID); err != nil {
		return 0, err
	}
	var coupon struct {
		Remaining int64 `json:"remaining"`
	}
	_, err := l.do(ctx, call{method: http.MethodGet, url: l.gateway("/v1/coupons/" + couponID)}, &coupon)
	var problem *Problem
	switch {
	case errors.As(err, &problem):
		return 0, refusal(problem.Name, fmt.Errorf("count what is left of coupon %s: %w", couponID, err))
	case err != nil:
		return 0, fmt.Errorf("count what is left of coupon %s: %w", couponID, err)
	}
	return coupon.Remaining, nil
}
