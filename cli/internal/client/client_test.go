package client

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

// gateway answers every request alike and remembers the last one.
func gateway(t *testing.T, status int, header map[string]string, body string) (*Gateway, *http.Request, *string) {
	last, sent := new(http.Request), new(string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		*last, *sent = *r, string(raw)
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return &Gateway{URL: server.URL + "/", AdminToken: "admin", ClaimToken: "claimer", HTTP: server.Client()}, last, sent
}

const sealed = `"type":"https://firstcome.dev/problems/`

func TestGateway_Claim(t *testing.T) {
	seven := int64(7)
	for _, c := range []struct {
		name   string
		status int
		header map[string]string
		body   string
		want   Answer
		name2  string // of the problem
	}{
		{name: "pending", status: 202, header: map[string]string{"Retry-After": "1"}, body: `{"claim_id":"x","coupon_id":"tea","status":"pending","position":7}`,
			want: Answer{ClaimID: "x", CouponID: "tea", Status: Pending, Position: &seven, RetryAfter: time.Second}},
		{name: "granted", status: 200, body: `{"claim_id":"x","coupon_id":"tea","status":"granted","window":"","sequence":3,"grant_id":"g","requested_at":"2026-11-22T10:00:00.000Z"}`,
			want: Answer{ClaimID: "x", CouponID: "tea", Status: Granted, Sequence: 3, GrantID: "g", RequestedAt: "2026-11-22T10:00:00.000Z"}},
		{name: "sold out by the log", status: 409, body: `{` + sealed + `sold-out","claim_id":"x"}`, want: Answer{ClaimID: "x", Status: Refused, Outcome: "sold_out"}},
		{name: "already issued", status: 409, body: `{` + sealed + `already-issued","grant":{"grant_id":"g","sequence":4,"window":"2026-11-22"}}`,
			want: Answer{Status: Refused, Outcome: "already_issued", Sequence: 4, GrantID: "g", Window: "2026-11-22"}},
		{name: "unknown coupon", status: 404, body: `{` + sealed + `unknown-coupon"}`, want: Answer{Status: Refused, Outcome: "unknown_coupon"}},
		{name: "duplicate request", status: 409, body: `{` + sealed + `duplicate-request","claim_id":"x"}`, name2: "duplicate-request"},
		{name: "unavailable", status: 503, header: map[string]string{"Retry-After": "2"}, body: `{` + sealed + `unavailable"}`, name2: "unavailable"},
		{name: "a proxy's page", status: 502, body: `<html>`, name2: ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, last, sent := gateway(t, c.status, c.header, c.body)
			got, err := g.Claim(t.Context(), "tea", "ada", 5*time.Second)
			var p *Problem
			switch {
			case errors.As(err, &p):
				if c.want.Status != "" || p.Name != c.name2 || p.Status != c.status || p.RetryAfter != retryAfter(c.header["Retry-After"]) {
					t.Errorf("got the problem %+v", p)
				}
			case err != nil || !reflect.DeepEqual(got, c.want):
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
			if last.URL.Path != "/v1/coupons/tea/claims" || *sent != `{"user_id":"ada"}` || last.Header.Get("Prefer") != "wait=5" || last.Header.Get("Authorization") != "Bearer claimer" {
				t.Errorf("asked %s %q with %v", last.URL, *sent, last.Header)
			}
		})
	}
}

// What a claim became tells of the earlier grant as a refusal does.
func TestGateway_Status(t *testing.T) {
	g, last, _ := gateway(t, 200, nil, `{"claim_id":"x","coupon_id":"tea","status":"refused","outcome":"already_issued","grant":{"grant_id":"g","sequence":4,"window":"2026-11-22"}}`)
	got, err := g.Status(t.Context(), "x")
	want := Answer{ClaimID: "x", CouponID: "tea", Status: Refused, Outcome: "already_issued", Sequence: 4, GrantID: "g", Window: "2026-11-22"}
	if err != nil || !reflect.DeepEqual(got, want) || last.URL.Path != "/v1/claims/x" {
		t.Errorf("asked %s, got %+v, %v; want %+v", last.URL, got, err, want)
	}
}

func TestGateway_UnknownStatus(t *testing.T) {
	g, _, _ := gateway(t, 200, nil, `{"status":"perhaps"}`)
	if _, err := g.Status(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), `"perhaps"`) {
		t.Errorf("got %v: an answer that is none must not count as one", err)
	}
}

func TestProblem_Error(t *testing.T) {
	g, last, sent := gateway(t, 422, nil, `{`+sealed+`invalid","detail":"bad body","correlation_id":"c1","errors":[{"pointer":"#/limit","detail":"must be at least 1"}]}`)
	_, _, err := g.Put(t.Context(), "tea", Definition{})
	want := "invalid: bad body; #/limit: must be at least 1 (status 422, correlation id c1)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if last.Method != http.MethodPut || last.Header.Get("Authorization") != "Bearer admin" || *sent != `{"limit":0}` {
		t.Errorf("asked %s %q with %v", last.Method, *sent, last.Header)
	}
}

func TestGateway_Coupons(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if after, given := r.URL.Query()["after"]; given && after[0] == "" {
			t.Error("asked after an empty id")
		}
		switch r.URL.Query().Get("after") {
		case "":
			_, _ = io.WriteString(w, `{"coupons":[{"coupon_id":"a"},{"coupon_id":"b"}],"next":"b"}`)
		case "b":
			_, _ = io.WriteString(w, `{"coupons":[{"coupon_id":"c"}],"next":null}`)
		}
	}))
	defer server.Close()
	got, err := (&Gateway{URL: server.URL}).Coupons(t.Context())
	if err != nil || len(got) != 3 || got[2].CouponID != "c" {
		t.Errorf("got %v, %v", got, err)
	}
}
