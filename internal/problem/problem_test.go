package problem

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The refusals of design §5.
func TestKinds(t *testing.T) {
	want := map[int]string{
		400: "malformed",
		401: "unauthorized",
		403: "forbidden",
		404: "unknown-coupon unknown-claim not-granted not-found",
		405: "method-not-allowed",
		409: "duplicate-request already-issued sold-out not-open closed definition-conflict",
		410: "retired",
		413: "too-large",
		415: "unsupported-media-type",
		422: "invalid idempotency-key-reused",
		429: "rate-limited",
		500: "internal",
		503: "unavailable",
	}
	got := map[int]string{}
	titles := map[string]int{}
	for _, k := range Kinds() {
		got[k.Status] = strings.TrimSpace(got[k.Status] + " " + k.Name)
		titles[k.Name]++
		if k.Title == "" || New(k.Name, "").Status != k.Status {
			t.Errorf("%+v", k)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	for name, n := range titles {
		if n != 1 {
			t.Errorf("%s stands %d times", name, n)
		}
	}
}

func TestNew_misspelt(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a problem that does not exist was made")
		}
	}()
	New("sold_out", "")
}

func TestFrom(t *testing.T) {
	soldOut := New(SoldOut, "")
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"a problem", soldOut, SoldOut},
		{"a problem deep down", fmt.Errorf("claim: %w", errors.Join(io.EOF, soldOut)), SoldOut},
		{"a body over its limit", fmt.Errorf("body: %w", &http.MaxBytesError{Limit: 4096}), TooLarge},
		{"anything", io.ErrUnexpectedEOF, Internal},
		{"a problem that is none", fmt.Errorf("claim: %w", (*Problem)(nil)), Internal},
	} {
		p := From(tt.err)
		if p.Name != tt.want {
			t.Errorf("%s: %v", tt.name, p)
		}
		if p.Name == Internal && p.Detail != "" {
			t.Errorf("%s: tells %q", tt.name, p.Detail)
		}
	}
	if p := From(nil); p != nil {
		t.Errorf("no error: %v", p)
	}
	if cause := From(io.ErrUnexpectedEOF); !errors.Is(cause, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
}

func TestProblem_Error(t *testing.T) {
	p := InvalidFields(FieldError{Pointer: "#/limit", Detail: "must be from 1"}, FieldError{Parameter: "after", Detail: "is unknown"})
	if got, want := p.Because(io.EOF).Error(), "invalid; #/limit must be from 1; after is unknown: EOF"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := New(Unavailable, "ask again").Error(), "unavailable: ask again"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRoutes(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/coupons/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "coupon ", r.PathValue("id"))
	})
	mux.HandleFunc("PUT /v1/coupons/{id}", func(http.ResponseWriter, *http.Request) {})
	h := Routes(mux)
	for _, tt := range []struct {
		method, target string
		status         int
		body, allow    string
	}{
		{"GET", "/v1/coupons/c", 200, "coupon c", ""},
		{"GET", "/", 404, `"type":"https://firstcome.dev/problems/not-found"`, ""},
		{"GET", "/v1/coupons/c/more", 404, `"type":"https://firstcome.dev/problems/not-found"`, ""},
		{"GET", "/v1//nothing", 404, `"type":"https://firstcome.dev/problems/not-found"`, ""},
		{"DELETE", "/v1/coupons/c", 405, `"type":"https://firstcome.dev/problems/method-not-allowed"`, "GET, HEAD, PUT"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.target, nil))
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) || w.Header().Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d %q %s", tt.method, tt.target, w.Code, w.Header().Get("Allow"), w.Body)
		}
	}
}
