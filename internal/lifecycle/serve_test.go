package lifecycle

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// serving starts ServeHTTP on a free port; stop ends its context, done gives what it returned.
func serving(t *testing.T, h http.HandlerFunc, drain time.Duration) (addr string, stop func(), done <-chan error) {
	t.Helper()
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	result := make(chan error, 1)
	go func() { result <- ServeHTTP(ctx, ln, h, drain) }()
	return ln.Addr().String(), cancel, result
}

type answered struct {
	body string
	err  error
}

func get(addr string) <-chan answered {
	result := make(chan answered, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + addr + "/")
		if err != nil {
			result <- answered{err: err}
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		result <- answered{string(body), err}
	}()
	return result
}

func TestServeHTTP_drains(t *testing.T) {
	began, answer := make(chan struct{}), make(chan struct{})
	var dead error
	addr, stop, done := serving(t, func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-Draining(r.Context())
		<-answer
		dead = r.Context().Err()
		fmt.Fprint(w, "granted")
	}, time.Minute)

	got := get(addr)
	<-began
	stop()
	waitRefused(t, addr)
	close(answer)
	if a := <-got; a.err != nil || a.body != "granted" {
		t.Errorf("answered %+v", a)
	}
	if dead != nil {
		t.Errorf("the request's context was %v while it was drained", dead)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// waitRefused waits until nothing listens any more.
func waitRefused(t *testing.T, addr string) {
	t.Helper()
	for {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		// Taken by the backlog and then reset, or idle until the end of drain: either way read until it is closed.
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}
}

// After drain the contexts end, and a handler that minds them can still answer.
func TestServeHTTP_lastWords(t *testing.T) {
	began := make(chan struct{})
	addr, stop, done := serving(t, func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		fmt.Fprint(w, "pending")
	}, time.Millisecond)
	got := get(addr)
	<-began
	stop()
	if a := <-got; a.err != nil || a.body != "pending" {
		t.Errorf("answered %+v", a)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestServeHTTP_cutsOff(t *testing.T) {
	began, end := make(chan struct{}), make(chan struct{})
	addr, stop, done := serving(t, func(http.ResponseWriter, *http.Request) {
		close(began)
		<-end
	}, time.Millisecond)
	got := get(addr)
	<-began
	stop()
	err := <-done
	if err == nil || !strings.Contains(err.Error(), "1 requests cut off") {
		t.Errorf("stopped with %v", err)
	}
	if a := <-got; a.err == nil {
		t.Errorf("answered %+v", a)
	}
	close(end)
}

// A connection on which nobody asked anything is no request: it may not make a stop look unclean.
func TestServeHTTP_silentConnection(t *testing.T) {
	addr, stop, done := serving(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }, time.Millisecond)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if a := <-get(addr); a.err != nil { // accepted after conn, so conn is accepted too
		t.Fatal(a.err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestServeHTTP_cannotServe(t *testing.T) {
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := ServeHTTP(t.Context(), ln, http.NotFoundHandler(), time.Second); err == nil {
		t.Error("served on a closed listener")
	}
}

func TestListen_names(t *testing.T) {
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := Listen(ln.Addr().String()); err == nil || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("the taken port's error is %v", err)
	}
}

// pipes is a listener in memory, so that time-outs can be tried on synctest's clock.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

func TestServeHTTP_timeouts(t *testing.T) {
	const body = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
	for _, tt := range []struct {
		name, sent string
		wait       time.Duration // of the handler
		want       time.Duration // after which the connection is closed
		answer     string
	}{
		{"nothing is sent", "", 0, headerTimeout, ""},
		{"headers do not end", "GET / HTTP/1.1\r\nHost:", 0, headerTimeout, ""},
		{"the body does not end", body + "ab", 0, requestTimeout, "400 "},
		{"nothing more is asked", body + "abcd", 0, idleTimeout, "200 "},
		{"the answer takes long", body + "abcd", 45 * time.Second, 45*time.Second + idleTimeout, "200 "},
		{"headers beyond measure", "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 0, 0, "431 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := newPipes()
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- ServeHTTP(ctx, ln, slow(tt.wait), time.Second) }()
				began := time.Now()
				conn := ln.dial()
				go func() { _, _ = io.WriteString(conn, tt.sent) }() // the server may close before it has read all
				answer, _ := io.ReadAll(bufio.NewReader(conn))
				took := time.Since(began)
				if took < tt.want || took > tt.want+time.Second {
					t.Errorf("closed after %v, want %v", took, tt.want)
				}
				if _, status, _ := strings.Cut(string(answer), " "); !strings.HasPrefix(status, tt.answer) || tt.answer == "" && status != "" && !strings.HasPrefix(status, "4") {
					t.Errorf("answer %q", answer)
				}
				conn.Close()
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// slow answers after d, unless its context ends: the time for reading a request must not end its answering.
func slow(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, "body", http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(d):
			fmt.Fprint(w, "ok")
		case <-r.Context().Done():
			http.Error(w, "gone", http.StatusInternalServerError)
		}
	}
}

// Whoever drips a request is cut off when its time is over, however long they could go on, and others are served meanwhile.
func TestServeHTTP_dripping(t *testing.T) {
	for _, tt := range []struct {
		name, begin, drop string
		want              time.Duration
	}{
		{"headers", "GET / HTTP/1.1\r\nHost: x\r\n", "X: y\r\n", headerTimeout},
		{"a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n", "a", requestTimeout},
		{"a chunked body", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", requestTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := newPipes()
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- ServeHTTP(ctx, ln, slow(0), time.Second) }()
				began := time.Now()
				dripper := ln.dial()
				cut := make(chan time.Duration, 1)
				go func() {
					_, _ = io.Copy(io.Discard, dripper) // until the server has closed it
					cut <- time.Since(began)
				}()
				var drips sync.WaitGroup
				drips.Go(func() {
					_, err := io.WriteString(dripper, tt.begin)
					for err == nil {
						<-time.After(100 * time.Millisecond)
						_, err = io.WriteString(dripper, tt.drop)
					}
				})
				for range 10 { // others, each at once
					<-time.After(300 * time.Millisecond)
					asked := time.Now()
					other := ln.dial()
					go func() { _, _ = io.WriteString(other, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") }()
					answer, _ := io.ReadAll(other)
					if !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") || time.Since(asked) > 0 {
						t.Errorf("another is answered after %v: %q", time.Since(asked), answer)
					}
					other.Close()
				}
				if took := <-cut; took < tt.want || took > tt.want+time.Second {
					t.Errorf("cut off after %v, want %v", took, tt.want)
				}
				dripper.Close()
				drips.Wait()
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestServeHTTP_securityHeaders(t *testing.T) {
	addr, stop, done := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			w.Header().Set("Content-Security-Policy", "default-src 'self'")
		}
	}, time.Second)
	for path, policy := range map[string]string{"/": "default-src 'none'; frame-ancestors 'none'", "/page": "default-src 'self'"} {
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		for name, want := range map[string]string{"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Strict-Transport-Security": ""} {
			if got := strings.Join(res.Header.Values(name), "|"); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
