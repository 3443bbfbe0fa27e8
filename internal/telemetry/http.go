package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// HTTPMetrics of one service.
type HTTPMetrics struct {
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

// NewHTTPMetrics registers coupon_<service>_http_request_seconds and coupon_<service>_http_in_flight_requests.
func NewHTTPMetrics(reg prometheus.Registerer, service string) *HTTPMetrics {
	m := &HTTPMetrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "coupon", Subsystem: service, Name: "http_request_seconds",
			Help: `Time from a request's headers to the end of its answer, by route (the pattern, "none" where no route fits), ` +
				`method ("other" for those that HTTP does not name) and code.`,
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "method", "code"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "coupon", Subsystem: service, Name: "http_in_flight_requests",
			Help: "Requests being answered right now, waiting and streaming ones included.",
		}),
	}
	reg.MustRegister(m.seconds, m.inFlight)
	return m
}

// HTTP goes around everything that answers requests. It gives each a correlation id and trace context, puts both into the
// answer, writes an access log line when the answer is complete, and turns a panic into a 500. The route in log and
// metrics is the pattern that a ServeMux below found; no handler between may copy the request.
func HTTP(next http.Handler, log *slog.Logger, m *HTTPMetrics) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		m.inFlight.Inc()
		defer m.inFlight.Dec()
		x := newExchange(r.Header)
		w.Header().Set(HeaderCorrelationID, x.correlationID)
		if x.traceParent != "" {
			w.Header().Set(HeaderTraceParent, x.traceParent)
		}
		r = r.WithContext(context.WithValue(r.Context(), contextKey{}, x))
		a := &answer{ResponseWriter: w}
		abort := serve(next, a, r, x)
		took := time.Since(began)
		m.seconds.WithLabelValues(route(r), method(r), strconv.Itoa(a.status())).Observe(took.Seconds())
		accessLine(log, r, x, a, took)
		if abort {
			panic(http.ErrAbortHandler)
		}
	})
}

func newExchange(h http.Header) *exchange {
	x := &exchange{correlationID: h.Get(HeaderCorrelationID)}
	if !ValidCorrelationID(x.correlationID) {
		x.correlationID = NewCorrelationID()
	}
	if values := h.Values(HeaderTraceParent); len(values) == 1 {
		x.traceParent, _ = ParseTraceParent(values[0])
	}
	return x
}

// serve tells whether the connection has to be broken off, since the answer had begun when the handler panicked.
func serve(next http.Handler, a *answer, r *http.Request, x *exchange) (abort bool) {
	defer func() {
		v := recover()
		switch {
		case v == nil:
			return
		case v == http.ErrAbortHandler: // the handler's own wish
			abort = true
		default:
			x.fail(fmt.Errorf("panic: %v", v), string(debug.Stack()))
			abort = a.code != 0
			if !abort {
				internalError(a, x.correlationID)
			}
		}
	}()
	next.ServeHTTP(a, r)
	return false
}

func (x *exchange) fail(err error, stack string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.err = err
	x.attrs = append(x.attrs, slog.String("stack", stack))
}

// internalError is the problem "internal" as package problem writes it. That package needs this one.
func internalError(w http.ResponseWriter, correlationID string) {
	for _, name := range []string{"Content-Length", "Content-Encoding", "Location", "Retry-After", "ETag"} {
		w.Header().Del(name)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusInternalServerError)
	id, _ := json.Marshal(correlationID)
	fmt.Fprintf(w, `{"type":"https://firstcome.dev/problems/internal","title":"Internal error","status":500,"correlation_id":%s}`+"\n", id)
}

func accessLine(log *slog.Logger, r *http.Request, x *exchange, a *answer, took time.Duration) {
	level := slog.LevelInfo
	if a.status() >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err != nil {
		level = slog.LevelError
	}
	attrs := make([]slog.Attr, 0, 8+len(x.attrs))
	attrs = append(attrs,
		slog.String("correlation_id", x.correlationID),
		slog.String("method", method(r)),
		slog.String("route", route(r)),
		slog.Int("status", a.status()),
		slog.Float64("latency_ms", float64(took.Microseconds())/1000))
	if x.traceParent != "" {
		attrs = append(attrs, slog.String("traceparent", x.traceParent))
	}
	attrs = append(attrs, x.attrs...)
	if x.err != nil {
		attrs = append(attrs, slog.String("error", x.err.Error()))
	}
	log.LogAttrs(r.Context(), level, "request", attrs...)
}

// route never is the path, which holds ids.
func route(r *http.Request) string {
	if r.Pattern == "" {
		return "none"
	}
	return r.Pattern
}

// method keeps what a stranger sends from becoming a label or a log line.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return r.Method
	}
	return "other"
}

// answer remembers the status of a ResponseWriter.
type answer struct {
	http.ResponseWriter
	code int // 0 until the answer has begun
}

// status of an answer that never began is what net/http makes of it.
func (a *answer) status() int {
	if a.code == 0 {
		return http.StatusOK
	}
	return a.code
}

func (a *answer) WriteHeader(code int) {
	// 1xx go before the answer, except for 101, which is one.
	if a.code == 0 && (code >= 200 || code == http.StatusSwitchingProtocols) {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Flush is for streams that ask for an http.Flusher.
func (a *answer) Flush() { _ = a.FlushError() }

// FlushError is what http.ResponseController asks for: a stream has to learn that nobody takes what it writes.
func (a *answer) FlushError() error {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
