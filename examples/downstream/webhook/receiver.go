package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// receiver is whom the grants are posted to.
type receiver struct {
	keys   []*webhooks.Webhook
	client *http.Client
	end    context.CancelCauseFunc // ends the program
}

// payload is what Standard Webhooks recommends. Its data is the record as it stands in the journal.
type payload struct {
	Type      string          `json:"type"`
	Timestamp time.Time       `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
}

// granted returns once the receiver has the grant.
func (r *receiver) granted(ctx context.Context, g event.CouponGranted, m event.Meta) error {
	record, err := g.Message(m)
	if err != nil {
		return err
	}
	body, err := json.Marshal(payload{event.TypeCouponGranted, g.RequestedAt, record.Value})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, *to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if err := r.sign(req.Header, g.GrantID, body); err != nil {
		return err
	}
	res, err := r.client.Do(req)
	if err != nil {
		return unanswered(err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	_ = res.Body.Close()
	return r.answered(ctx, res)
}

// sign makes the headers of one attempt: its time is signed too.
func (r *receiver) sign(h http.Header, id string, body []byte) error {
	now := time.Now()
	var signatures []string
	for _, key := range r.keys {
		signature, err := key.Sign(id, now, body)
		if err != nil {
			return err
		}
		signatures = append(signatures, signature)
	}
	h.Set("Content-Type", "application/json")
	h.Set(webhooks.HeaderWebhookID, id)
	h.Set(webhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	h.Set(webhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}

// answered says what an answer means.
func (r *receiver) answered(ctx context.Context, res *http.Response) error {
	err := fmt.Errorf("the receiver answers %s", res.Status)
	switch code := res.StatusCode; {
	case code/100 == 2:
		return nil
	case code == http.StatusGone: // it wants no more: the next start begins with this grant
		r.end(err)
		return err
	case code == http.StatusTooManyRequests, code >= 502 && code <= 504: // not now, whatever the grant
		rest(ctx, res.Header.Get("Retry-After"))
		return fmt.Errorf("%w: %w", consumer.ErrUnhealthy, err)
	default: // a redirect too: see consumer.Retry
		return err
	}
}

// rest waits as long as the receiver asks for: seconds or a date, an hour at most.
func rest(ctx context.Context, after string) {
	const most = time.Hour
	until, _ := http.ParseTime(after)
	if seconds, err := strconv.Atoi(after); err == nil {
		until = time.Now().Add(time.Duration(min(seconds, int(most/time.Second))) * time.Second)
	}
	select {
	case <-ctx.Done():
	case <-time.After(min(time.Until(until), most)):
	}
}

// unanswered tells a receiver that can't be reached from one that is silent.
func unanswered(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err // the URL may hold a secret
	}
	var connection *net.OpError
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &connection) && connection.Op == "dial" || errors.As(err, &certificate) {
		return fmt.Errorf("%w: %w", consumer.ErrUnhealthy, err)
	}
	return err
}

// keysOf reads secrets as Standard Webhooks writes them. While one is being replaced there are two, with a space between:
// both sign.
func keysOf(secrets string) (keys []*webhooks.Webhook, err error) {
	for _, secret := range strings.Fields(secrets) {
		key, err := webhooks.NewWebhook(secret)
		if err != nil || !strings.HasPrefix(secret, "whsec_") || len(secret) < len("whsec_")+32 {
			return nil, errors.New("WEBHOOK_SECRET: must be whsec_ and at least 24 random bytes in base64")
		}
		keys = append(keys, key)
	}
	if keys == nil {
		return nil, errors.New("WEBHOOK_SECRET: missing")
	}
	return keys, nil
}
