package downstream

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
)

func TestWebhook(t *testing.T) {
	t.Parallel()
	s := newSale(t, 5)
	s.topic(t, "webhook.dead-letters")
	r := newReceiver(t)
	r.open()
	p := r.start(s)

	users := []string{"silent", "failing once", "limited", "failing", "moved"}
	for n := range 20 {
		users = append(users, fmt.Sprint("user-", n))
	}
	for n, user := range users {
		s.ask(t, s.coupons[n%5], user)
	}
	r.awaits(len(users) - 2)
	s.wantLetters(t, "webhook.dead-letters", "failing", "moved")
	for user, want := range map[string]int{"silent": 2, "failing once": 2, "limited": 5, "failing": 3, "moved": 3, "user-7": 1} {
		if got := len(r.seen(user)); got != want {
			t.Errorf("%d attempts at %s, want %d", got, user, want)
		}
	}
	if tries := r.seen("limited"); len(tries) > 1 && tries[1].Sub(tries[0]) < time.Second {
		t.Errorf("%v between two attempts, though the receiver asked for a second", tries[1].Sub(tries[0]))
	}

	t.Log("the receiver goes away")
	r.close()
	for n := range 10 {
		s.ask(t, s.coupons[n%5], fmt.Sprint("meanwhile-", n))
	}
	p.says(t, "paused.*connection refused")
	r.open()
	r.awaits(len(users) - 2 + 10)

	t.Log("the receiver wants no more")
	r.gone(true)
	s.ask(t, s.coupons[0], "last")
	if code := p.ends(t); code != 1 || !strings.Contains(p.out.String(), "410 Gone") {
		t.Errorf("exits with %d", code)
	}
	r.gone(false)
	p = r.start(s)
	r.awaits(len(users) - 2 + 11)
	p.stop(t)
	s.wantLetters(t, "webhook.dead-letters", "failing", "moved") // and nobody else
	r.wantOrder(len(s.coupons))
}

const (
	secretNew = "whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3A="
	secretOld = "whsec_cG9ubWxramloZ2ZlZGNiYTk4NzY1NDMyMTA="
)

// receiver is somebody else's server: it checks signatures by the specification alone, and fails as told.
type receiver struct {
	t       *testing.T
	config  *tls.Config
	ca      string // file
	address string
	server  *http.Server

	mu       sync.Mutex
	noMore   bool
	attempts map[string][]time.Time // by user
	taken    []posted
}

type posted struct {
	CouponID string `json:"coupon_id"`
	UserID   string `json:"user_id"`
	GrantID  string `json:"grant_id"`
	Sequence int64  `json:"sequence"`
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, attempts: make(map[string][]time.Time)}
	r.config, r.ca = identity(t)
	t.Cleanup(r.close)
	return r
}

func (r *receiver) open() {
	r.t.Helper()
	l := listen(r.t, r.address)
	r.address = l.Addr().String()
	r.server = &http.Server{Handler: r, TLSConfig: r.config}
	go r.server.ServeTLS(l, "", "")
}

func (r *receiver) close() { _ = r.server.Close() }

func (r *receiver) start(s *sale) *process {
	return start(r.t, "webhook", s.env("WEBHOOK_SECRET="+secretNew+" "+secretOld, "SSL_CERT_FILE="+r.ca),
		"-to", "https://"+r.address+"/grants", "-attempts", "3", "-wait", "10ms", "-timeout", "5s")
}

func (r *receiver) gone(noMore bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noMore = noMore
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // it was closed in between
	}
	var hook struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      posted    `json:"data"`
	}
	if err := json.Unmarshal(body, &hook); err != nil {
		r.t.Errorf("%v: %s", err, body)
	}
	if req.Method != http.MethodPost || req.URL.Path != "/grants" || req.Header.Get("Content-Type") != "application/json" ||
		hook.Type != event.TypeCouponGranted || time.Since(hook.Timestamp) > time.Hour || req.Header.Get("webhook-id") != hook.Data.GrantID {
		r.t.Errorf("%s %s, %v: %s", req.Method, req.URL, req.Header, body)
	}
	if err := verify(req.Header, body, secretNew, secretOld); err != nil {
		r.t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts[hook.Data.UserID] = append(r.attempts[hook.Data.UserID], time.Now())
	if r.answer(w, req.Context(), hook.Data.UserID, len(r.attempts[hook.Data.UserID])) {
		r.taken = append(r.taken, hook.Data)
	}
}

// answer tells whether it took it.
func (r *receiver) answer(w http.ResponseWriter, caller context.Context, user string, attempt int) bool {
	fail := func(code int) bool { w.WriteHeader(code); return false }
	switch {
	case r.noMore:
		return fail(http.StatusGone)
	case user == "silent" && attempt == 1:
		r.mu.Unlock()
		<-caller.Done()
		r.mu.Lock()
		return false
	case user == "failing once" && attempt == 1, user == "failing":
		return fail(http.StatusInternalServerError)
	case user == "limited" && attempt == 1:
		w.Header().Set("Retry-After", "1")
		return fail(http.StatusTooManyRequests)
	case user == "limited" && attempt < 5: // more often than a grant is tried
		return fail(http.StatusServiceUnavailable)
	case user == "moved":
		w.Header().Set("Location", "/elsewhere")
		return fail(http.StatusTemporaryRedirect)
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// verify does what Standard Webhooks tells receivers to do, for each of the secrets.
func verify(h http.Header, body []byte, secrets ...string) error {
	stamp, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(stamp, 0)).Abs() > 5*time.Minute {
		return fmt.Errorf("webhook-timestamp is %q", h.Get("webhook-timestamp"))
	}
	signatures := strings.Split(h.Get("webhook-signature"), " ")
	for _, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			return err
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(bytes.Join([][]byte{[]byte(h.Get("webhook-id")), []byte(h.Get("webhook-timestamp")), body}, []byte(".")))
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); !slices.Contains(signatures, want) {
			return fmt.Errorf("webhook-signature is %q, without %q", signatures, want)
		}
	}
	return nil
}

// awaits returns once so many were taken.
func (r *receiver) awaits(want int) {
	r.t.Helper()
	got := 0
	eventually(r.t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		got = len(r.taken)
		return got >= want
	}, func() string { return fmt.Sprintf("%d webhooks of %d", got, want) })
	if got > want {
		r.t.Errorf("%d webhooks, want %d", got, want)
	}
}

// seen are the attempts at a user's grant.
func (r *receiver) seen(user string) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.attempts[user])
}

// wantOrder holds that each coupon's grants came in their order.
func (r *receiver) wantOrder(coupons int) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	last := make(map[string]int64)
	for _, p := range r.taken {
		if p.Sequence <= last[p.CouponID] {
			r.t.Errorf("%s: number %d after %d", p.CouponID, p.Sequence, last[p.CouponID])
		}
		last[p.CouponID] = p.Sequence
	}
	if len(last) != coupons {
		r.t.Errorf("webhooks of %d coupons, want %d", len(last), coupons)
	}
}
