package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory answers in place of the issuer, without a network: so the clock can be the test's.
type memory struct {
	mu    sync.Mutex
	body  []byte
	err   error
	takes time.Duration
	times int
}

func (m *memory) set(change func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

// asked is how often it was.
func (m *memory) asked() (n int) {
	m.set(func(m *memory) { n = m.times })
	return n
}

func (m *memory) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	var err error
	var takes time.Duration
	m.set(func(m *memory) {
		m.times++
		body, err, takes = m.body, m.err, m.takes
	})
	select {
	case <-time.After(takes):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

func (m *memory) ring(t testing.TB, log *lines) *keyring {
	t.Helper()
	k := newKeyring("https://login.example/keys", log.logger(), func() {})
	k.client.Transport = m
	return k
}

// elapse lets time go by on synctest's clock.
func elapse(d time.Duration) { <-time.After(d) }

// A key that is not there is looked for, at most once in a while, however many name one.
func TestKeyring_Strangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := ecSigner(t, "k1"), ecSigner(t, "k2")
		m := &memory{body: keySet(t, first), takes: time.Second}
		k := m.ring(t, &lines{})
		if _, err := k.Find(t.Context(), "k1", "ES256"); !errors.Is(err, errNoKeys) {
			t.Errorf("before anything was fetched: %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go k.Run(ctx)
		elapse(2 * time.Second)
		if _, err := k.Find(ctx, "k1", "ES256"); err != nil {
			t.Error(err)
		}
		m.set(func(m *memory) { m.body = keySet(t, first, second) })
		if _, err := k.Find(ctx, "k2", "ES256"); !errors.Is(err, errNoKey) || m.asked() != 1 {
			t.Errorf("just fetched: %v, asked %d times", err, m.asked())
		}
		elapse(strangerEach)
		var all sync.WaitGroup
		for n := range 100 {
			all.Go(func() {
				if _, err := k.Find(ctx, fmt.Sprint("stranger", n), "ES256"); !errors.Is(err, errNoKey) {
					t.Error(err)
				}
				if _, err := k.Find(ctx, "k2", "ES256"); err != nil {
					t.Errorf("the new key: %v", err)
				}
			})
		}
		all.Wait()
		if m.asked() != 2 {
			t.Errorf("for 100 strangers the issuer was asked %d times", m.asked()-1)
		}
		if _, err := k.Find(ctx, "k2", "RS256"); !errors.Is(err, errNoKey) {
			t.Errorf("a key for another algorithm: %v", err)
		}
		m.set(func(m *memory) { m.body = keySet(t, second) }) // k1 is taken back
		elapse(keysEach)
		if _, err := k.Find(ctx, "k1", "ES256"); !errors.Is(err, errNoKey) {
			t.Errorf("a key that was taken back: %v", err)
		}
	})
}

// What was fetched stays while the issuer is away, and each change is one line.
func TestKeyring_IssuerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ecSigner(t, "k1")
		m := &memory{body: keySet(t, s)}
		var log lines
		k := m.ring(t, &log)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go k.Run(ctx)
		synctest.Wait()
		m.set(func(m *memory) { m.err = errors.New("connection refused") })
		elapse(keysEach + 5*time.Minute)
		if m.asked() < 100 {
			t.Errorf("asked %d times", m.asked())
		}
		if _, err := k.Find(ctx, "k1", "ES256"); err != nil {
			t.Errorf("the old key: %v", err)
		}
		if _, err := k.Find(ctx, "k2", "ES256"); !errors.Is(err, errNoKeys) {
			t.Errorf("one that may be new: %v", err)
		}
		m.set(func(m *memory) { m.err = nil })
		elapse(time.Minute)
		if n := strings.Count(log.String(), "\n"); n != 3 {
			t.Errorf("%d lines, want there, away, there:\n%s", n, log.String())
		}
		m.set(func(m *memory) { m.takes = time.Hour }) // no answer at all
		elapse(2 * keysEach)
		if n := strings.Count(log.String(), "\n"); n != 4 {
			t.Errorf("%d lines:\n%s", n, log.String())
		}
		stop()
	})
}
