// Package client speaks the gateway's HTTP API.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Gateway is one gateway, or a balancer in front of many. The zero tokens send none, as local mode wants it.
type Gateway struct {
	URL        string
	AdminToken string
	ClaimToken string
	HTTP       *http.Client // nil: http.DefaultClient
}

// Definition is what an admin may say of a coupon. Absent times are unset.
type Definition struct {
	Limit    int64      `json:"limit"`
	Window   string     `json:"window,omitempty"`
	TimeZone string     `json:"time_zone,omitempty"`
	OpensAt  *time.Time `json:"opens_at,omitempty"`
	ClosesAt *time.Time `json:"closes_at,omitempty"`
}

// Coupon is a coupon as anyone sees it.
type Coupon struct {
	CouponID      string     `json:"coupon_id"`
	Limit         int64      `json:"limit"`
	Granted       int64      `json:"granted"`
	Remaining     int64      `json:"remaining"`
	Status        string     `json:"status"`
	Window        string     `json:"window"`
	CurrentWindow string     `json:"current_window"`
	TimeZone      string     `json:"time_zone"`
	OpensAt       *time.Time `json:"opens_at,omitempty"`
	ClosesAt      *time.Time `json:"closes_at,omitempty"`
}

// Put defines a coupon; created is false where it existed and was changed.
func (g *Gateway) Put(ctx context.Context, couponID string, d Definition) (c Coupon, created bool, err error) {
	body, err := json.Marshal(d)
	if err != nil {
		return Coupon{}, false, err
	}
	reply, err := g.do(ctx, request{method: http.MethodPut, path: couponPath(couponID), body: body, token: g.AdminToken})
	if err != nil {
		return Coupon{}, false, err
	}
	return c, reply.status == http.StatusCreated, reply.decode(&c)
}

// Coupon reads one coupon.
func (g *Gateway) Coupon(ctx context.Context, couponID string) (c Coupon, err error) {
	reply, err := g.do(ctx, request{method: http.MethodGet, path: couponPath(couponID)})
	if err != nil {
		return Coupon{}, err
	}
	return c, reply.decode(&c)
}

// Coupons reads all coupons, page by page, ordered by id.
func (g *Gateway) Coupons(ctx context.Context) ([]Coupon, error) {
	var all []Coupon
	for after := ""; ; {
		query := url.Values{"limit": {"1000"}}
		if after != "" {
			query.Set("after", after)
		}
		reply, err := g.do(ctx, request{method: http.MethodGet, path: "/v1/coupons?" + query.Encode()})
		if err != nil {
			return nil, err
		}
		var page struct {
			Coupons []Coupon `json:"coupons"`
			Next    *string  `json:"next"`
		}
		if err := reply.decode(&page); err != nil {
			return nil, err
		}
		all = append(all, page.Coupons...)
		if page.Next == nil || *page.Next == "" || *page.Next == after {
			return all, nil
		}
		after = *page.Next
	}
}

func couponPath(couponID string) string { return "/v1/coupons/" + url.PathEscape(couponID) }

type request struct {
	method, path string
	body         []byte
	token        string
	prefer       string
}

type reply struct {
	status     int
	body       []byte
	retryAfter time.Duration
	what       string
}

// maxBody bounds what an answer may be; a page of a thousand coupons is about 300 KB.
const maxBody = 8 << 20

// do returns the reply of a success, a *Problem where the gateway refused, and any other error where it is not known
// what became of the request.
func (g *Gateway) do(ctx context.Context, r request) (reply, error) {
	what := r.method + " " + strings.TrimRight(g.URL, "/") + r.path
	req, err := http.NewRequestWithContext(ctx, r.method, strings.TrimRight(g.URL, "/")+r.path, bytes.NewReader(r.body))
	if err != nil {
		return reply{}, err
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.prefer != "" {
		req.Header.Set("Prefer", r.prefer)
	}
	client := g.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return reply{}, fmt.Errorf("%s: reading the answer: %w", what, err)
	}
	got := reply{status: res.StatusCode, body: body, retryAfter: retryAfter(res.Header.Get("Retry-After")), what: what}
	if res.StatusCode >= 300 {
		return got, got.problem()
	}
	return got, nil
}

func (r reply) decode(into any) error {
	if err := json.Unmarshal(r.body, into); err != nil {
		return fmt.Errorf("%s: status %d with a body that is not the API's: %w", r.what, r.status, err)
	}
	return nil
}

// retryAfter reads seconds; the HTTP-date form is a proxy's, and counts as one second.
func retryAfter(header string) time.Duration {
	if header == "" {
		return 0
	}
	seconds, err := strconv.Atoi(header)
	if err != nil || seconds < 0 {
		return time.Second
	}
	return time.Duration(seconds) * time.Second
}
