package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// service is a little one, with a handler for each thing that can happen.
type service struct {
	log bytes.Buffer
	reg *prometheus.Registry
	http.Handler
	correlationID, traceParent string // as the handler saw them
}

func newService() *service {
	s := &service{reg: prometheus.NewRegistry()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/coupons/{id}", func(w http.ResponseWriter, r *http.Request) {
		s.correlationID, s.traceParent = CorrelationID(r.Context()), TraceParent(r.Context())
		Annotate(r.Context(), slog.String("coupon", Hash(r.PathValue("id"))))
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("GET /silent", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /text", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "text") })
	mux.HandleFunc("GET /failed", func(w http.ResponseWriter, r *http.Request) {
		Fail(r.Context(), errors.New("first cause"))
		Fail(r.Context(), errors.New("second cause"))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	mux.HandleFunc("GET /panic", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		panic("something secret")
	})
	mux.HandleFunc("GET /late-panic", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "half an ans")
		w.(http.Flusher).Flush()
		panic("something secret")
	})
	mux.HandleFunc("GET /abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("GET /deadline", func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	s.Handler = HTTP(mux, NewLogger(&s.log, slog.LevelInfo), NewHTTPMetrics(s.reg, "gateway"))
	return s
}

func (s *service) get(target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func (s *service) line(t *testing.T) map[string]any {
	t.Helper()
	if n := strings.Count(s.log.String(), "\n"); n != 1 {
		t.Fatalf("%d lines:\n%s", n, s.log.String())
	}
	var line map[string]any
	if err := json.Unmarshal(s.log.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	s.log.Reset()
	return line
}

func TestHTTP_correlation(t *testing.T) {
	for _, tt := range []struct {
		name    string
		headers []string
		id      string // "": a new one
		trace   string
	}{
		{"none", nil, "", ""},
		{"own", []string{"X-Correlation-ID", "order-7", "traceparent", sampled}, "order-7", sampled},
		{"bad ones", []string{"X-Correlation-ID", "naïve", "traceparent", "nonsense"}, "", ""},
		{"too long", []string{"X-Correlation-ID", strings.Repeat("x", 129)}, "", ""},
		{"two trace contexts", []string{"traceparent", sampled, "traceparent", sampled}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newService()
			w := s.get("/v1/coupons/spring", tt.headers...)
			id := w.Header().Get("X-Correlation-ID")
			if tt.id != "" && id != tt.id || !ValidCorrelationID(id) || id == "naïve" {
				t.Errorf("answer has id %q", id)
			}
			if got := w.Header().Get("traceparent"); got != tt.trace {
				t.Errorf("answer has traceparent %q", got)
			}
			if s.correlationID != id || s.traceParent != tt.trace {
				t.Errorf("handler saw %q and %q", s.correlationID, s.traceParent)
			}
			line := s.line(t)
			if line["correlation_id"] != id || tt.trace != "" && line["traceparent"] != tt.trace {
				t.Errorf("line %v", line)
			}
		})
	}
}

func TestHTTP_accessLine(t *testing.T) {
	for _, tt := range []struct {
		target, route, level string
		status               float64
	}{
		{"/v1/coupons/spring?user_id=u1", "GET /v1/coupons/{id}", "INFO", 202},
		{"/silent", "GET /silent", "INFO", 200},
		{"/text", "GET /text", "INFO", 200},
		{"/nowhere/u1", "none", "INFO", 404},
		{"/failed", "GET /failed", "ERROR", 503},
		{"/panic", "GET /panic", "ERROR", 500},
	} {
		t.Run(tt.target, func(t *testing.T) {
			s := newService()
			s.get(tt.target)
			text := s.log.String()
			line := s.line(t)
			if line["route"] != tt.route || line["status"] != tt.status || line["method"] != "GET" || line["level"] != tt.level {
				t.Errorf("line %v", line)
			}
			if ms, ok := line["latency_ms"].(float64); !ok || ms < 0 || ms > 60_000 {
				t.Errorf("latency %v", line["latency_ms"])
			}
			if at, err := time.Parse(time.RFC3339Nano, line["time"].(string)); err != nil || !strings.HasSuffix(line["time"].(string), "Z") {
				t.Errorf("time %v %v", at, err)
			}
			if strings.Contains(text, "spring") || strings.Contains(text, "u1") {
				t.Errorf("ids in %s", text)
			}
		})
	}
}

func TestHTTP_annotations(t *testing.T) {
	s := newService()
	s.get("/v1/coupons/spring")
	if line := s.line(t); line["coupon"] != Hash("spring") {
		t.Errorf("line %v", line)
	}
	s.get("/failed")
	if line := s.line(t); line["error"] != "first cause" {
		t.Errorf("line %v", line)
	}
}

func TestHTTP_panic(t *testing.T) {
	s := newService()
	w := s.get("/panic", "X-Correlation-ID", `say "id"`)
	want := `{"type":"https://firstcome.dev/problems/internal","title":"Internal error","status":500,"correlation_id":"say \"id\""}` + "\n"
	if w.Code != 500 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if w.Header().Get("Content-Length") != "" {
		t.Error("the handler's own Content-Length is sent")
	}
	line := s.line(t)
	if line["error"] != "panic: something secret" || !strings.Contains(line["stack"].(string), "http_test.go") {
		t.Errorf("line %v", line)
	}
}

// Over a real connection: who got half an answer must not take it for a whole one.
func TestHTTP_brokenOff(t *testing.T) {
	s := newService()
	srv := httptest.NewServer(s)
	defer srv.Close()
	for _, target := range []string{"/late-panic", "/abort"} {
		resp, err := srv.Client().Get(srv.URL + target)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: the answer looks whole", target)
		}
	}
	if resp, err := srv.Client().Get(srv.URL + "/deadline"); err != nil || resp.StatusCode != 200 {
		t.Errorf("a handler cannot set its deadline: %v %v", resp, err)
	}
}

// Streams need each event to leave at once.
func TestHTTP_streams(t *testing.T) {
	received := make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "event")
		w.(http.Flusher).Flush()
		select {
		case <-received:
		case <-r.Context().Done():
		}
	})
	srv := httptest.NewServer(HTTP(h, slog.New(slog.DiscardHandler), NewHTTPMetrics(prometheus.NewRegistry(), "test")))
	defer srv.Close()
	client := srv.Client()
	client.Timeout = 10 * time.Second
	resp, err := client.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, len("event"))); err != nil {
		t.Error(err)
	}
	close(received)
}

// A stream learns that what it writes does not get through.
func TestHTTP_flushFails(t *testing.T) {
	var got error
	h := HTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		got = http.NewResponseController(w).Flush()
	}), slog.New(slog.DiscardHandler), NewHTTPMetrics(prometheus.NewRegistry(), "test"))
	h.ServeHTTP(&deaf{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil))
	if !errors.Is(got, io.ErrShortWrite) {
		t.Errorf("flushing gives %v", got)
	}
}

type deaf struct{ http.ResponseWriter }

func (*deaf) FlushError() error { return io.ErrShortWrite }

func TestHTTPMetrics(t *testing.T) {
	s := newService()
	s.get("/v1/coupons/spring")
	s.get("/v1/coupons/summer")
	s.get("/nowhere/u1")
	r := httptest.NewRequest("BREW", "/text", nil)
	s.ServeHTTP(httptest.NewRecorder(), r)

	families, err := s.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, f := range families {
		if f.GetName() == "coupon_gateway_http_in_flight_requests" {
			got["in flight"] = uint64(f.GetMetric()[0].GetGauge().GetValue())
			continue
		}
		for _, m := range f.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels += l.GetName() + "=" + l.GetValue() + " "
			}
			got[labels] = m.GetHistogram().GetSampleCount()
		}
	}
	want := map[string]uint64{
		"code=202 method=GET route=GET /v1/coupons/{id} ": 2,
		"code=404 method=GET route=none ":                 1,
		"code=405 method=other route=none ":               1,
		"in flight":                                       0,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v\nwant %v", got, want)
	}
}
