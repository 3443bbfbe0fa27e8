package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	ledgerPatience = 2 * time.Second // for both questions together
	maxLedgerBody  = 4 << 20         // a daily coupon's summary has 150 bytes a day
)

// ledger asks a ledger's public API who was granted.
type ledger struct {
	url, token string
	client     *http.Client
}

// newLedger gives nil for no URL. Its errors name the variables.
func newLedger(address, token string) (*ledger, error) {
	if address == "" {
		if token != "" {
			return nil, errors.New("LEDGER_TOKEN is given, and LEDGER_URL is not")
		}
		return nil, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, errors.New("LEDGER_URL must be an http:// or https:// address with a host, and nothing behind the path")
	}
	if strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return nil, errors.New("LEDGER_TOKEN must be one secret, without its name and without spaces")
	}
	return &ledger{strings.TrimSuffix(address, "/"), token, &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute},
		// The token is for this ledger and nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close ends the idle connections. A nil ledger has none.
func (l *ledger) Close() {
	if l != nil {
		l.client.CloseIdleConnections()
	}
}

var (
	errLedgerBehind = errors.New("the ledger does not have all grants of the coupon yet")
	errNoLedger     = errors.New("LEDGER_URL answers as no ledger does")
	errArchived     = errors.New("the ledger no longer has the grants: they were archived")
)

// Grant is what a person was granted in a window, zero if nothing. A ledger that has fewer grants of the coupon than the
// log led to (total) is catching up, as after a restore: then only what it has is told, never that there is nothing. Of a
// window that was archived nothing can be told: errArchived.
func (l *ledger) Grant(ctx context.Context, couponID, userID, window string, total int64) (heldBody, error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerPatience)
	defer cancel()
	complete, err := l.complete(ctx, couponID, total) // before the grants: what it has now it has then
	if err != nil {
		return heldBody{}, err
	}
	var page struct{ Grants *[]heldBody }
	query := url.Values{"coupon_id": {couponID}, "user_id": {userID}, "window": {window}}
	var status ledgerStatusError
	err = l.get(ctx, "/v1/grants?"+query.Encode(), &page)
	if errors.As(err, &status) && status == http.StatusGone {
		return heldBody{}, errArchived
	}
	switch {
	case err != nil:
		return heldBody{}, err
	case page.Grants == nil:
		return heldBody{}, errNoLedger
	case len(*page.Grants) == 0 && complete:
		return heldBody{}, nil
	case len(*page.Grants) == 0:
		return heldBody{}, errLedgerBehind
	}
	g := (*page.Grants)[0]
	if g.CouponID != couponID || g.UserID != userID || g.Window != window || g.Sequence < 1 || g.GrantID == "" {
		return heldBody{}, errNoLedger
	}
	return g, nil
}

// complete tells whether the ledger has all grants of a coupon.
func (l *ledger) complete(ctx context.Context, couponID string, total int64) (bool, error) {
	var summary struct{ Windows *[]struct{ Granted int64 } }
	err := l.get(ctx, "/v1/coupons/"+couponID+"/summary", &summary)
	var status ledgerStatusError
	switch {
	case errors.As(err, &status) && status == http.StatusNotFound:
		return false, nil // it does not even have the definition
	case err != nil:
		return false, err
	case summary.Windows == nil:
		return false, errNoLedger
	}
	for _, w := range *summary.Windows {
		total -= w.Granted
	}
	return total <= 0, nil
}

type ledgerStatusError int

func (e ledgerStatusError) Error() string { return fmt.Sprintf("the ledger answers %d", int(e)) }

func (l *ledger) get(ctx context.Context, path string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+path, nil)
	if err != nil {
		return err
	}
	if l.token != "" {
		r.Header.Set("Authorization", "Bearer "+l.token)
	}
	res, err := l.client.Do(r)
	if err != nil {
		return withoutQuery(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return ledgerStatusError(res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxLedgerBody))
	if err != nil {
		return withoutQuery(err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errNoLedger
	}
	return nil
}

// withoutQuery keeps the user id, which stands in the query, out of the log.
func withoutQuery(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return fmt.Errorf("the ledger does not answer: %w", failed.Err)
	}
	return err
}
