package lifecycle

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var bothProtocols = []string{"HTTP/1.1", "HTTP/2.0"}

// inMemory serves h over pipes, in a bubble of synctest where hours take no time, to a client that speaks one protocol.
// around is what the client sees of a connection, unless it is nil.
func inMemory(t *testing.T, protocol string, h http.HandlerFunc, around func(net.Conn) net.Conn) (client *http.Client, stop func() error) {
	ln := newPipes()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ServeHTTP(ctx, ln, h, time.Second) }()
	var p http.Protocols
	p.SetHTTP1(protocol == "HTTP/1.1")
	p.SetUnencryptedHTTP2(protocol == "HTTP/2.0")
	client = &http.Client{Transport: &http.Transport{Protocols: &p, DialContext: func(context.Context, string, string) (net.Conn, error) {
		conn := ln.dial()
		if around != nil {
			conn = around(conn)
		}
		return conn, nil
	}}}
	return client, sync.OnceValue(func() error {
		cancel()
		err := <-done
		client.CloseIdleConnections()
		return err
	})
}

// An answer that moves its deadline may take much longer than a request may take to arrive, and than a connection may be idle.
func TestServeHTTP_longAnswers(t *testing.T) {
	const pieces, each = 20, 40 * time.Second
	want := ""
	for i := range pieces {
		want += fmt.Sprintln(i)
	}
	for _, protocol := range bothProtocols {
		for _, method := range []string{"GET", "POST"} {
			t.Run(protocol+" "+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, stop := inMemory(t, protocol, func(w http.ResponseWriter, r *http.Request) {
						_, _ = io.Copy(io.Discard, r.Body)
						if r.Proto != protocol {
							t.Errorf("asked by %s", r.Proto)
						}
						for i := range pieces {
							select {
							case <-time.After(each):
								_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2 * each))
								fmt.Fprintln(w, i)
								w.(http.Flusher).Flush()
							case <-r.Context().Done():
								return
							}
						}
					}, nil)
					req, err := http.NewRequest(method, "http://memory/", strings.NewReader(strings.Repeat("asked", len(method)-3)))
					if err != nil {
						t.Fatal(err)
					}
					res, err := client.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(res.Body)
					res.Body.Close()
					if err != nil || string(got) != want {
						t.Errorf("%v after %q", err, got)
					}
					if err := stop(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// Those who wait when the server begins to stop are answered, whatever they speak.
func TestServeHTTP_drainsBoth(t *testing.T) {
	const people = 20
	for _, protocol := range bothProtocols {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, stop := inMemory(t, protocol, func(w http.ResponseWriter, r *http.Request) {
					fmt.Fprint(w, "pending, ")
					w.(http.Flusher).Flush()
					select {
					case <-Draining(r.Context()):
						fmt.Fprint(w, "ask again")
					case <-r.Context().Done():
					}
				}, nil)
				var all sync.WaitGroup
				var told atomic.Int64
				for range people {
					all.Go(func() {
						res, err := client.Get("http://memory/")
						if err != nil {
							t.Error(err)
							return
						}
						defer res.Body.Close()
						if got, err := io.ReadAll(res.Body); err != nil || string(got) != "pending, ask again" {
							t.Errorf("%v after %q", err, got)
							return
						}
						told.Add(1)
					})
				}
				synctest.Wait()
				if err := stop(); err != nil {
					t.Error(err)
				}
				all.Wait()
				if n := told.Load(); n != people {
					t.Errorf("%d of %d were told", n, people)
				}
			})
		})
	}
}

// A connection has so many streams; who needs more opens another.
func TestServeHTTP_maxStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var connections, asked atomic.Int64
		client, stop := inMemory(t, "HTTP/2.0", func(_ http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			<-Draining(r.Context())
		}, func(conn net.Conn) net.Conn {
			connections.Add(1)
			return conn
		})
		var all sync.WaitGroup
		get := func() {
			res, err := client.Get("http://memory/")
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
		}
		for i := range maxStreams + 1 {
			all.Go(get)
			synctest.Wait()
			if n := connections.Load(); n != int64(1+i/maxStreams) {
				t.Fatalf("%d requests at once are on %d connections", i+1, n)
			}
		}
		if n := asked.Load(); n != maxStreams+1 {
			t.Errorf("%d requests are being answered", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
}

// A connection that takes nothing any more is given up, with all the streams that are on it.
func TestServeHTTP_unread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lasted time.Duration
		deaf := make(chan struct{})
		client, stop := inMemory(t, "HTTP/2.0", func(w http.ResponseWriter, _ *http.Request) {
			close(deaf)
			for began := time.Now(); ; <-time.After(time.Second) {
				_, err := fmt.Fprintln(w, "event")
				if err == nil {
					err = http.NewResponseController(w).Flush()
				}
				if err != nil {
					lasted = time.Since(began)
					return
				}
			}
		}, func(conn net.Conn) net.Conn { return &deafConn{Conn: conn, deaf: deaf} })
		ctx, leave := context.WithTimeout(t.Context(), time.Hour)
		defer leave()
		req, err := http.NewRequestWithContext(ctx, "GET", "http://memory/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := client.Do(req); err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if err == nil {
				t.Error("the answer came to an end")
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if lasted < unreadTimeout || lasted > unreadTimeout+2*time.Second {
			t.Errorf("the handler ended after %s", lasted)
		}
	})
}

// An answer is given up that its reader does not take, however lively the connection is.
func TestServeHTTP_unreadAnswer(t *testing.T) {
	for _, protocol := range bothProtocols {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gaveUp := make(chan time.Duration, 1)
				client, stop := inMemory(t, protocol, func(w http.ResponseWriter, _ *http.Request) {
					began := time.Now()
					if _, err := w.Write(make([]byte, 64<<20)); err == nil { // more than the client takes unread
						t.Error("all of it was written")
					}
					gaveUp <- time.Since(began)
				}, nil)
				res, err := client.Get("http://memory/")
				if err != nil {
					t.Fatal(err)
				}
				if took := <-gaveUp; took < answerTimeout-time.Second || took > answerTimeout+time.Second {
					t.Errorf("the handler ended after %s", took)
				}
				res.Body.Close()
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Of a body that its handler does not read a connection keeps little: the sender waits.
func TestServeHTTP_unreadBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		client, stop := inMemory(t, "HTTP/2.0", func(http.ResponseWriter, *http.Request) { <-answer }, nil)
		var sent atomic.Int64
		req, err := http.NewRequest("POST", "http://memory/", &endless{&sent})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if res, err := client.Do(req); err == nil {
				res.Body.Close()
			}
		}()
		synctest.Wait()
		if got := sent.Load(); got > 2*unreadOfConnection {
			t.Errorf("%d bytes were taken", got)
		}
		close(answer)
		<-done
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// endless is a body that counts what is read of it.
type endless struct{ read *atomic.Int64 }

func (e *endless) Read(b []byte) (int, error) {
	b = b[:min(len(b), 1024)]
	e.read.Add(int64(len(b)))
	return len(b), nil
}

// deafConn reads nothing for a while once deaf is closed.
type deafConn struct {
	net.Conn
	deaf chan struct{}
}

func (c *deafConn) Read(b []byte) (int, error) {
	select {
	case <-c.deaf:
		<-time.After(time.Minute) // longer than the server has patience
	default:
	}
	return c.Conn.Read(b)
}
