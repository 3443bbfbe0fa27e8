package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/internal/telemetry"
	"github.com/firstcome/firstcome/internal/token"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

// store is what the API reads.
type store interface {
	Grants(context.Context, postgres.Filter) ([]event.CouponGranted, error)
	Coupon(context.Context, string) (postgres.Coupon, error)
	Histogram(ctx context.Context, couponID, window string, most int) ([]postgres.Step, time.Duration, error)
}

// api answers questions about what was granted.
type api struct {
	store     store
	tokens    token.Set
	anonymous bool // without a token, too
	log       *slog.Logger
	page      int // rows that a download reads at once
}

// handler is the whole public side.
func (a *api) handler(m *telemetry.HTTPMetrics) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/grants", answer(a.grants))
	mux.HandleFunc("GET /v1/coupons/{id}/summary", answer(a.summary))
	mux.HandleFunc("GET /v1/coupons/{id}/grants.csv", answer(a.download(csvFile)))
	mux.HandleFunc("GET /v1/coupons/{id}/grants.ndjson", answer(a.download(ndjsonFile)))
	mux.HandleFunc("GET /openapi.json", answer(getOpenAPI))
	mux.HandleFunc("GET /docs", answer(getDocs))
	return telemetry.HTTP(a.authenticated(problem.Routes(mux)), a.log, m)
}

// forAnyone is what tells nothing about anybody, and what a browser asks for without a token.
func forAnyone(r *http.Request) bool { return r.URL.Path == "/openapi.json" || r.URL.Path == "/docs" }

func (a *api) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := a.tokens.Principal(r)
		if !ok && !a.anonymous && !forAnyone(r) {
			problem.Write(w, r, problem.New(problem.Unauthorized, "send a read token as Authorization: Bearer"))
			return
		}
		if ok {
			telemetry.Annotate(r.Context(), slog.String("principal", name))
		}
		next.ServeHTTP(w, r)
	})
}

// answer is the one place where errors become answers. A handler that returns one has not begun its own.
func answer(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := handle(w, r); err != nil {
			problem.Write(w, r, problemOf(r, err))
		}
	}
}

func problemOf(r *http.Request, err error) *problem.Problem {
	var p *problem.Problem
	if errors.As(err, &p) {
		return p
	}
	if r.Context().Err() != nil { // nobody is left to be told, and nothing is broken
		return problem.New(problem.Unavailable, "")
	}
	if postgres.IsUnavailable(err) {
		return problem.New(problem.Unavailable, "the ledger's database does not answer").Because(err)
	}
	return problem.From(err)
}

func writeJSON(w http.ResponseWriter, body any) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		return err
	}
	head(w, "application/json")
	_, _ = w.Write(b.Bytes()) // the person has gone: nobody is left to be told
	return nil
}

func head(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
}

// instant is a time as everywhere in the system: RFC 3339, UTC, milliseconds.
type instant time.Time

const layout = "2006-01-02T15:04:05.000Z"

func (t instant) String() string { return time.Time(t).UTC().Format(layout) }

func (t instant) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
