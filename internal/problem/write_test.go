package problem

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/telemetry"
	"github.com/prometheus/client_golang/prometheus"
)

// answer gives what is sent, through the middleware that every service has around its handlers, and the access log line.
func answer(h http.HandlerFunc) (*httptest.ResponseRecorder, string) {
	var log bytes.Buffer
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set(telemetry.HeaderCorrelationID, "order-7")
	w := httptest.NewRecorder()
	telemetry.HTTP(h, telemetry.NewLogger(&log, slog.LevelInfo), telemetry.NewHTTPMetrics(prometheus.NewRegistry(), "test")).ServeHTTP(w, r)
	return w, log.String()
}

func writing(p *Problem) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { Write(w, r, p) }
}

func TestWrite(t *testing.T) {
	const base = `"type":"https://firstcome.dev/problems/`
	for _, tt := range []struct {
		name    string
		p       *Problem
		status  int
		headers map[string]string
		body    string
	}{
		{"sold out", New(SoldOut, "all 100 are gone"), 409, map[string]string{"Retry-After": ""},
			`{` + base + `sold-out","title":"Sold out","status":409,"detail":"all 100 are gone","correlation_id":"order-7"}`},
		{"fields", InvalidFields(FieldError{Pointer: "#/limit", Detail: "must be > 0"}, FieldError{Parameter: "after", Detail: `no "x"`}), 422, nil,
			`{` + base + `invalid","title":"Invalid request","status":422,"correlation_id":"order-7",` +
				`"errors":[{"pointer":"#/limit","detail":"must be > 0"},{"parameter":"after","detail":"no \"x\""}]}`},
		{"more members", New(AlreadyIssued, "").With("grant", map[string]any{"sequence": 3}).With("claim_id", "a<b&c"), 409, nil,
			`{` + base + `already-issued","title":"Already issued to this person","status":409,"correlation_id":"order-7",` +
				`"claim_id":"a<b&c","grant":{"sequence":3}}`},
		{"members that cannot be replaced", New(Closed, "").With("status", 200).With("correlation_id", "x"), 409, nil,
			`{` + base + `closed","title":"Closed","status":409,"correlation_id":"order-7"}`},
		{"made by hand", &Problem{Name: Retired}, 410, nil,
			`{` + base + `retired","title":"Retired","status":410,"correlation_id":"order-7"}`},
		{"unauthorized", New(Unauthorized, ""), 401, map[string]string{"WWW-Authenticate": "Bearer"},
			`{` + base + `unauthorized","title":"A valid token is needed","status":401,"correlation_id":"order-7"}`},
		{"unavailable", New(Unavailable, "ask again"), 503, map[string]string{"Retry-After": "1"},
			`{` + base + `unavailable","title":"Not available right now","status":503,"detail":"ask again","correlation_id":"order-7"}`},
		{"rate limited", New(RateLimited, "").After(1001 * time.Millisecond), 429, map[string]string{"Retry-After": "2"},
			`{` + base + `rate-limited","title":"Too many requests","status":429,"correlation_id":"order-7"}`},
		{"duplicate, claim id not yet known", New(DuplicateRequest, "").After(time.Millisecond), 409, map[string]string{"Retry-After": "1"},
			`{` + base + `duplicate-request","title":"The same request was just made","status":409,"correlation_id":"order-7"}`},
		{"none at all", nil, 500, nil, internalBody},
		{"an unknown name", &Problem{Name: "oops", Status: 200, Detail: "secret"}, 500, nil, internalBody},
		{"a member that is no JSON", New(SoldOut, "").With("x", make(chan int)), 500, nil, internalBody},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, _ := answer(writing(tt.p))
			if w.Code != tt.status || strings.TrimSpace(w.Body.String()) != tt.body {
				t.Errorf("%d %s\nwant %d %s", w.Code, w.Body, tt.status, tt.body)
			}
			if !json.Valid(w.Body.Bytes()) {
				t.Error("not JSON")
			}
			for name, want := range map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store"} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: %q", name, got)
				}
			}
			for name, want := range tt.headers {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

const internalBody = `{"type":"https://firstcome.dev/problems/internal","title":"Internal error","status":500,"correlation_id":"order-7"}`

// What goes wrong inside is for the log, not for the person asking.
func TestWrite_internal(t *testing.T) {
	w, line := answer(writing(From(errors.New("redis: connection refused"))))
	if got := strings.TrimSpace(w.Body.String()); got != internalBody {
		t.Errorf("%s", got)
	}
	if !strings.Contains(line, `"problem":"internal"`) || !strings.Contains(line, `"error":"redis: connection refused"`) {
		t.Errorf("line %s", line)
	}
}

// telemetry cannot import this package, so it writes this one problem itself: the same, byte by byte.
func TestWrite_panic(t *testing.T) {
	written, _ := answer(writing(New(Internal, "")))
	panicked, _ := answer(func(http.ResponseWriter, *http.Request) { panic("oops") })
	if panicked.Code != written.Code || panicked.Body.String() != written.Body.String() {
		t.Errorf("%d %s\nwant %d %s", panicked.Code, panicked.Body, written.Code, written.Body)
	}
	for name := range written.Header() {
		if got, want := panicked.Header().Get(name), written.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestWrite_nil(t *testing.T) {
	if _, line := answer(writing(nil)); strings.Contains(line, "panic") {
		t.Errorf("line %s", line)
	}
}

func TestWrite_outside(t *testing.T) {
	w := httptest.NewRecorder()
	Write(w, httptest.NewRequest("GET", "/", nil), New(NotFound, ""))
	var body struct {
		CorrelationID string `json:"correlation_id"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || !telemetry.ValidCorrelationID(body.CorrelationID) {
		t.Errorf("%s %v", w.Body, err)
	}
	if w.Header().Get(telemetry.HeaderCorrelationID) != body.CorrelationID {
		t.Errorf("header %q", w.Header().Get(telemetry.HeaderCorrelationID))
	}
}

// One Problem may be shared, as a package variable, by many requests at once.
func TestWrite_leavesTheProblemAlone(t *testing.T) {
	p := &Problem{Name: Unavailable}
	answer(writing(p))
	if p.Status != 0 || p.RetryAfter != 0 {
		t.Errorf("%+v", p)
	}
}
