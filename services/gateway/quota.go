package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/firstcome/firstcome/internal/problem"
)

// Quota is how often one person or one address may ask: so many requests, all at once if they like, which come back
// evenly over the window. Written "20/1m". The zero value is no limit.
type Quota struct {
	Requests int           // 1 to 1,000,000
	Window   time.Duration // whole seconds, 1 s to 24 h
}

const (
	maxQuota       = 1_000_000
	maxQuotaWindow = 24 * time.Hour
)

// UnmarshalText reads "20/1m".
func (q *Quota) UnmarshalText(text []byte) error {
	requests, window, found := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(requests)
	d, err2 := time.ParseDuration(window)
	if !found || err != nil || err2 != nil {
		return errors.New("must be requests/window, such as 20/1m")
	}
	read := Quota{n, d}
	if err := read.check(); err != nil {
		return err
	}
	*q = read
	return nil
}

func (q Quota) check() error {
	switch {
	case q == Quota{}:
		return nil
	case q.Requests < 1 || q.Requests > maxQuota:
		return fmt.Errorf("must allow 1 to %d requests", maxQuota)
	case q.Window < time.Second || q.Window > maxQuotaWindow || q.Window%time.Second != 0:
		return fmt.Errorf("must have a window of whole seconds, from 1s to %s", maxQuotaWindow)
	}
	return nil
}

// tableSize is how many askers a limiter remembers: about 230 bytes each, so 23 MB, which are taken only where the limit
// is on. The one who was silent for longest is forgotten first, and begins anew with the whole quota; whoever goes on
// asking is remembered, however many others come.
const tableSize = 100_000

// askerID stands for a person or an address: of one size, whatever the person's id is.
type askerID [16]byte

// limiter counts the requests of each asker. A nil limiter lets everybody in.
type limiter struct {
	policy string // its name in the RateLimit fields: "person", "address"
	quota  Quota
	each   time.Duration // in which one request comes back
	now    func() time.Time
	table  *lru.Cache[askerID, *rate.Limiter]
}

func newLimiter(policy string, q Quota, now func() time.Time) *limiter {
	if q == (Quota{}) {
		return nil
	}
	table, err := lru.New[askerID, *rate.Limiter](tableSize)
	if err != nil {
		panic(err) // the size is no number from outside
	}
	return &limiter{policy: policy, quota: q, each: q.Window / time.Duration(q.Requests), now: now, table: table}
}

// Take counts a request, and puts what is left into the answer's RateLimit-Policy and RateLimit
// (draft-ietf-httpapi-ratelimit-headers-11). Its error is the problem rate-limited.
func (l *limiter) Take(w http.ResponseWriter, id askerID) error {
	if l == nil {
		return nil
	}
	now := l.now()
	bucket := l.bucket(id)
	allowed := bucket.AllowN(now, 1)
	left := max(0, bucket.TokensAt(now))
	remaining := int(left)
	// Within this time no more than the remaining ones are let in; where none remain, it is when to come again.
	next := time.Duration((1 - (left - float64(remaining))) * float64(l.each))
	seconds := max(1, int((next+time.Second-1)/time.Second))
	h := w.Header()
	h.Add("RateLimit-Policy", fmt.Sprintf(`"%s";q=%d;w=%d`, l.policy, l.quota.Requests, l.quota.Window/time.Second))
	h.Add("RateLimit", fmt.Sprintf(`"%s";r=%d;t=%d`, l.policy, remaining, seconds))
	if allowed {
		return nil
	}
	return problem.New(problem.RateLimited, fmt.Sprintf("one %s may ask %d times in %s", l.policy, l.quota.Requests, l.quota.Window)).
		After(time.Duration(seconds) * time.Second)
}

func (l *limiter) bucket(id askerID) *rate.Limiter {
	if known, ok := l.table.Get(id); ok {
		return known
	}
	fresh := rate.NewLimiter(rate.Every(l.each), l.quota.Requests)
	if known, ok, _ := l.table.PeekOrAdd(id, fresh); ok {
		return known
	}
	return fresh
}
