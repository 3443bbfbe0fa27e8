package strategy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// play is a gateway that gives these answers one after the other: "status body". It notes what it was asked.
type play struct {
	answers []string
	asked   []string
}

func (p *play) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.asked = append(p.asked, strings.TrimSpace(fmt.Sprint(r.Method, " ", r.URL.RequestURI(), " ", r.Header.Get("Authorization"), " ", string(body))))
	if len(p.answers) == 0 {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	number, text, _ := strings.Cut(p.answers[0], " ")
	p.answers = p.answers[1:]
	status, _ := strconv.Atoi(number)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

func (p *play) log(t *testing.T) Log {
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return Log{GatewayURL: server.URL + "/", LedgerURL: server.URL + "/ledger/", AdminToken: "admin", ClaimToken: "claimer", ReadToken: "reader", HTTP: server.Client()}
}

const problemType = `{"type":"https://firstcome.dev/problems/`

func TestLog_Claim(t *testing.T) {
	const post, get = `POST /v1/coupons/tea/claims Bearer claimer {"user_id":"ada"}`, `GET /v1/claims/c%2F1 Bearer claimer`
	for _, c := range []struct {
		name    string
		answers []string
		asked   string
		answer  Answer
		err     error
	}{
		{"granted", []string{`200 {"status":"granted","claim_id":"c/1"}`}, post, Issued, nil},
		{"pending, then granted", []string{`202 {"status":"pending","claim_id":"c/1"}`, `200 {"status":"granted"}`}, post + "\n" + get, Issued, nil},
		{"pending, then refused", []string{`202 {"status":"pending","claim_id":"c/1"}`, `200 {"status":"refused","outcome":"sold_out"}`}, post + "\n" + get, "", ErrExhausted},
		{"sold out", []string{`409 ` + problemType + `sold-out"}`}, post, "", ErrExhausted},
		{"unknown coupon", []string{`404 ` + problemType + `unknown-coupon"}`}, post, "", ErrCouponNotFound},
		{"already issued", []string{`409 ` + problemType + `already-issued"}`}, post, "", ErrAlreadyIssued},
		{"the earlier one is granted", []string{`409 ` + problemType + `duplicate-request","claim_id":"c/1"}`, `200 {"status":"granted"}`}, post + "\n" + get, "", ErrAlreadyIssued},
		{"the earlier one is refused", []string{`409 ` + problemType + `duplicate-request","claim_id":"c/1"}`, `200 {"status":"refused","outcome":"sold_out"}`}, post + "\n" + get, "", ErrExhausted},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &play{answers: c.answers}
			answer, err := p.log(t).Claim(t.Context(), "tea", "ada")
			if answer != c.answer || !errors.Is(err, c.err) || strings.Join(p.asked, "\n") != c.asked {
				t.Errorf("told %q, %v after asking %q", answer, err, p.asked)
			}
		})
	}
}

// What is none of the three errors says what the gateway said.
func TestLog_Problem(t *testing.T) {
	for answer, want := range map[string]string{
		`409 ` + problemType + `closed","detail":"it ended"}`: "claim coupon tea: closed (status 409): it ended",
		`200 {"status":"refused","outcome":"not_open"}`:       "claim coupon tea: not-open",
		`502 <html>`:                            "claim coupon tea: (status 502): the answer is no problem document",
		`200 <html>`:                            "status 200 with a body that is not the API's",
		`401 ` + problemType + `unauthorized"}`: "claim coupon tea: unauthorized (status 401)",
		`200 {"status":"perhaps"}`:              `the unknown status "perhaps"`,
	} {
		if _, err := (&play{answers: []string{answer}}).log(t).Claim(t.Context(), "tea", "ada"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", answer, err, want)
		}
	}
}

// Where the gateway says to ask again, it is asked again, until the context ends.
func TestLog_AskedAgain(t *testing.T) {
	asked := make(chan bool, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, problemType+`unavailable"}`)
		asked <- true
	}))
	defer server.Close()
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	go func() {
		<-asked
		<-asked
		end()
	}()
	if _, err := (Log{GatewayURL: server.URL}).Claim(ctx, "tea", "ada"); !errors.Is(err, context.Canceled) {
		t.Errorf("told %v", err)
	}
}

func TestLog_Issued(t *testing.T) {
	p := &play{answers: []string{`200 {"remaining":1}`, `200 {"grants":[{"user_id":"ada"},{"user_id":"bob"}],"next":"a b"}`, `200 {"grants":[{"user_id":"eve"}],"next":null}`}}
	users, err := p.log(t).Issued(t.Context(), "tea")
	if err != nil || strings.Join(users, " ") != "ada bob eve" {
		t.Errorf("%v, %v", users, err)
	}
	want := "GET /v1/coupons/tea\nGET /ledger/v1/grants?coupon_id=tea&limit=1000 Bearer reader\nGET /ledger/v1/grants?after=a+b&coupon_id=tea&limit=1000 Bearer reader"
	if got := strings.Join(p.asked, "\n"); got != want {
		t.Errorf("asked\n%s\nwant\n%s", got, want)
	}
}

func TestLog_SetLimit(t *testing.T) {
	p := &play{answers: []string{`201 {}`}}
	if err := p.log(t).SetLimit(t.Context(), "tea", 5); err != nil || p.asked[0] != `PUT /v1/coupons/tea Bearer admin {"limit":5}` {
		t.Errorf("%v, asked %q", err, p.asked)
	}
}

// The name of a refusal is the same, whether the door knew it or the log decided it.
func TestLog_NotOpen(t *testing.T) {
	for _, answer := range []string{`409 ` + problemType + `not-open"}`, `200 {"status":"refused","outcome":"not_open"}`} {
		var problem *Problem
		if _, err := (&play{answers: []string{answer}}).log(t).Claim(t.Context(), "tea", "ada"); !errors.As(err, &problem) || problem.Name != "not-open" {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

// The gateway is not asked to keep a claim for longer than the client waits.
func TestLog_Patience(t *testing.T) {
	for timeout, want := range map[time.Duration]string{0: "wait=30", 5 * time.Second: "wait=2", 3 * time.Minute: "wait=30"} {
		var prefer string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			prefer = r.Header.Get("Prefer")
			_, _ = io.WriteString(w, `{"status":"granted"}`)
		}))
		_, err := (Log{GatewayURL: server.URL, HTTP: &http.Client{Timeout: timeout}}).Claim(t.Context(), "tea", "ada")
		server.Close()
		if err != nil || prefer != want {
			t.Errorf("a client with the time-out %s says %q, want %q; told %v", timeout, prefer, want, err)
		}
	}
}

// later is a gateway that says to ask again in a number of seconds.
func later(t *testing.T, status int, seconds, body string, then string) (shop Log, asked func() []time.Time) {
	var mu sync.Mutex
	var times []time.Time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if times = append(times, time.Now()); len(times) > 1 {
			body, status = then, http.StatusOK
		}
		w.Header().Set("Retry-After", seconds)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return Log{GatewayURL: server.URL}, func() []time.Time {
		mu.Lock()
		defer mu.Unlock()
		return times
	}
}

// A claim that waits is asked for no sooner than its answer says.
func TestLog_Pending(t *testing.T) {
	shop, asked := later(t, http.StatusAccepted, "1", `{"status":"pending","claim_id":"c"}`, `{"status":"granted"}`)
	if answer, err := shop.Claim(t.Context(), "tea", "ada"); answer != Issued || err != nil {
		t.Errorf("told %q, %v", answer, err)
	}
	if times := asked(); len(times) != 2 || times[1].Sub(times[0]) < time.Second {
		t.Errorf("asked at %v, want a second between", times)
	}
}

// Who is to ask in an hour is told so at once.
func TestLog_RateLimited(t *testing.T) {
	shop, asked := later(t, http.StatusTooManyRequests, "3600", problemType+`rate-limited"}`, "")
	var problem *Problem
	if _, err := shop.Claim(t.Context(), "tea", "ada"); !errors.As(err, &problem) || problem.Name != "rate-limited" || problem.RetryAfter != time.Hour {
		t.Errorf("told %v", err)
	}
	if len(asked()) != 1 {
		t.Errorf("asked at %v", asked())
	}
}

// A page of grants is as long as the rules let ids be, and JSON makes them.
func TestLog_IssuedToLongIDs(t *testing.T) {
	id := strings.Repeat("<", maxUserID)
	grant, err := json.Marshal(map[string]any{
		"grant_id": strings.Repeat("0", 36), "coupon_id": strings.Repeat("t", 100), "user_id": id, "window": "2026-11-22", "sequence": maxLimit,
		"limit": maxLimit, "requested_at": time.Now(), "log_time": time.Now(), "source": map[string]int64{"partition": 4095, "offset": 1 << 47},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &play{answers: []string{`200 {"remaining":1}`, `200 {"grants":[` + strings.TrimSuffix(strings.Repeat(string(grant)+",", 1000), ",") + `]}`}}
	if users, err := p.log(t).Issued(t.Context(), "tea"); err != nil || len(users) != 1000 || users[999] != id {
		t.Errorf("%d people, %v", len(users), err)
	}
	p = &play{answers: []string{`200 "` + strings.Repeat("x", maxAnswer) + `"`}}
	if _, err := p.log(t).Remaining(t.Context(), "tea"); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("an answer without an end: %v", err)
	}
}
