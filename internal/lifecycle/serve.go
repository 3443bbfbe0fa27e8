package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	headerTimeout  = 5 * time.Second  // for a request's headers to arrive
	requestTimeout = 15 * time.Second // for all of a request to arrive
	answerTimeout  = time.Minute      // for an answer to be made and read; what takes longer moves its own deadline
	idleTimeout    = 2 * time.Minute  // between two requests of a connection
	maxHeaderBytes = 16 << 10
	lastWords      = 500 * time.Millisecond // for handlers to answer after their context ended
)

// Listen listens on a TCP address such as ":8080" or "127.0.0.1:0".
func Listen(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %q: %w", addr, err)
	}
	return ln, nil
}

type drainingKey struct{}

// Draining is closed when the server that answers the request has begun to stop: a handler that waits or streams should
// then end with what it has. Outside of ServeHTTP it is nil and never ready.
func Draining(ctx context.Context) <-chan struct{} {
	ch, _ := ctx.Value(drainingKey{}).(<-chan struct{})
	return ch
}

// ServeHTTP answers requests on ln, and closes it. When ctx ends it takes no more connections and goes on answering the
// requests in flight: their contexts are not ctx's, and live until they are answered or drain is over. Then the contexts
// end, and half a second later the connections. An error tells that it could not serve, or that requests were cut off.
func ServeHTTP(ctx context.Context, ln net.Listener, h http.Handler, drain time.Duration) error {
	requests, cancel := context.WithCancel(context.WithValue(
		context.WithoutCancel(ctx), drainingKey{}, ctx.Done()))
	defer cancel()
	var inFlight atomic.Int64
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inFlight.Add(1)
			defer inFlight.Add(-1)
			secure(w, r)
			h.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		Protocols:         protocols(),
		HTTP2:             http2Config(),
		ErrorLog:          log.New(serverErrors{}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return requests },
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		_ = srv.Close()
		return fmt.Errorf("serving HTTP on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	err := shutdown(srv, drain)
	if err != nil {
		cancel()
		err = shutdown(srv, lastWords)
	}
	cut := inFlight.Load()
	_ = srv.Close()
	<-served
	if err != nil && cut > 0 {
		return fmt.Errorf("stopping HTTP on %s: %d requests cut off after %s", ln.Addr(), cut, drain+lastWords)
	}
	return nil
}

// shutdown fails with context.DeadlineExceeded where connections are still busy after d. They may be without a request:
// net/http waits some seconds for a connection's first one.
func shutdown(srv *http.Server, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	err := srv.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil // what else it could tell is that the listener was closed already
}
