package process

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait; nothing waits that long unless something is broken.
const patience = 60 * time.Second

var client = &http.Client{Timeout: patience}

// Eventually waits for a condition that nobody signals.
func Eventually(t testing.TB, holds func() bool, otherwise func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(otherwise())
		}
	}
}

// Get asks for a URL; a connection that breaks is status 0.
func Get(t testing.TB, url, secret string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Do(t, req, secret)
}

// Do sends a request; a connection that breaks is status 0.
func Do(t testing.TB, req *http.Request, secret string) (status int, body string) {
	t.Helper()
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

// Put defines a coupon through a gateway, with a JSON body.
func (p *Process) Put(t testing.TB, coupon, definition string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, p.Public+"/v1/coupons/"+coupon, strings.NewReader(definition))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return Do(t, req, AdminSecret)
}

// Metric is a gauge's or counter's value, summed over its labels; -1 without any.
func (p *Process) Metric(t testing.TB, name string) float64 {
	t.Helper()
	_, body := Get(t, p.Admin+"/metrics", "")
	sum, found := 0.0, false
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == ' ' || rest[0] == '{') {
			var value float64
			if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &value); err == nil {
				sum, found = sum+value, true
			}
		}
	}
	if !found {
		return -1
	}
	return sum
}

// Tail is the end of a text, at most so many bytes of it.
func Tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return fmt.Sprintf("… %s", s[len(s)-n:])
}
