package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/event"
)

var bothProtocols = []string{"HTTP/1.1", "HTTP/2.0"}

func speaking(protocol string) *http.Transport {
	var p http.Protocols
	p.SetHTTP1(protocol == "HTTP/1.1")
	p.SetUnencryptedHTTP2(protocol == "HTTP/2.0")
	return &http.Transport{Protocols: &p}
}

// clients that speak one protocol each.
func clients(t testing.TB) map[string]*http.Client {
	all := map[string]*http.Client{}
	for _, protocol := range bothProtocols {
		all[protocol] = &http.Client{Transport: speaking(protocol)}
		t.Cleanup(all[protocol].CloseIdleConnections)
	}
	return all
}

// setProgress makes Redis say that a coupon's partition is somewhere else.
func (r *rig) setProgress(coupon string, offset int64) {
	r.t.Helper()
	at := redislayout.Progress{Offset: offset, AppendTime: fcfs.FromTime(time.Now()), LogTime: fcfs.FromTime(time.Now())}
	keys := redislayout.New(r.servers.RedisPrefix, event.Partition(coupon, parts))
	if err := r.double.redis.Set(r.t.Context(), keys.Progress(), at.String(), 0).Err(); err != nil {
		r.t.Fatal(err)
	}
}

// pending gives the claim ids of people whose claims nobody decides until goOn.
func (r *rig) pending(coupon string, people int) (ids []string, goOn func()) {
	r.t.Helper()
	r.put(coupon, fmt.Sprintf(`{"limit":%d}`, people)).is(r.t, 201, "")
	goOn = r.Hold()
	r.t.Cleanup(goOn)
	for i := range people {
		ids = append(ids, r.claim(coupon, fmt.Sprint("u", i+1), "").is(r.t, 202, "").string("claim_id"))
	}
	return ids, goOn
}

// looked returns once the gateway has looked at Redis so often again.
func (r *rig) looked(times int64) {
	r.t.Helper()
	before := r.service.redis.looks.Load()
	eventually(r.t, "the gateway has looked at Redis", func() bool { return r.service.redis.looks.Load() >= before+times })
}

func position(n int) string { return fmt.Sprintf(`"status":"pending","position":%d}`, n) }

// The position goes down as progress goes up, and never up again; then comes the answer, and the stream ends.
func TestFollow_Story(t *testing.T) {
	t.Parallel()
	for protocol, client := range clients(t) {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			ids, goOn := r.pending("tea", 5)
			path := "/v1/claims/" + ids[4]
			l := tuneInBy(t, client, "http://"+r.service.Addr().String()+path, nil)
			for name, want := range map[string]string{
				"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept", "Content-Length": "",
			} {
				if got := l.header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if first := <-l.said; first.retry != "1000" || first.event != "" {
				t.Errorf("it begins with %+v", first)
			}
			first := l.Until(position(5))
			if plain := r.get(path); first.data+"\n" != plain.text || first.event != "status" || first.id != "" {
				t.Errorf("the stream says %+v, and GET %s", first, plain.text)
			}
			for _, at := range []struct{ progress, position int64 }{{2, 3}, {1, 0}, {4, 1}} {
				r.setProgress("tea", at.progress)
				r.looked(3) // more than a second
				if at.position == 0 {
					continue // it would rise
				}
				if e, over := l.Next(); over || !strings.HasSuffix(e.data, position(int(at.position))) {
					t.Errorf("at progress %d: %+v", at.progress, e)
				}
			}
			if n := len(l.said); n > 0 {
				t.Errorf("%d more events, the first %+v", n, <-l.said)
			}
			goOn()
			final := l.Until("granted")
			if plain := r.get(path); final.data+"\n" != plain.text || final.id != "final" || final.event != "status" {
				t.Errorf("the stream says %+v, and GET %s", final, plain.text)
			}
			l.End()
			again := tuneInBy(t, client, "http://"+r.service.Addr().String()+path, http.Header{"Last-Event-Id": {final.id}})
			if again.status != http.StatusNoContent || again.text != "" {
				t.Errorf("connected again after the end: %d %q", again.status, again.text)
			}
			decided := tuneInBy(t, client, "http://"+r.service.Addr().String()+path, http.Header{"Last-Event-Id": {"other"}})
			if e := decided.Until("granted"); e != final {
				t.Errorf("asked when it was decided: %+v, want %+v", e, final)
			}
			decided.End()
			eventually(t, "all places are free", func() bool { return r.service.waiters.Count() == 0 })
		})
	}
}

func TestFollow_Refused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	goOn := r.Hold()
	defer goOn()
	first := r.claim("tea", "u1", "").is(t, 202, "").string("claim_id")
	second := r.claim("tea", "u2", "").is(t, 202, "").string("claim_id")
	won, lost := tuneIn(t, r.service, "/v1/claims/"+first, nil), tuneIn(t, r.service, "/v1/claims/"+second, nil)
	won.Until(position(1))
	lost.Until(position(2))
	goOn()
	won.Until(`"status":"granted"`)
	if e := lost.Until("refused"); e.id != "final" || e.data+"\n" != r.get("/v1/claims/"+second).text {
		t.Errorf("refused with %+v", e)
	}
	won.End()
	lost.End()
}

// What is no stream: bad ids, a gateway that has no place, one that cannot tell, and who does not ask for one.
func TestFollow_Problems(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxWaiters = 1 })
	ids, _ := r.pending("tea", 2)
	stream := http.Header{"Accept": {"text/event-stream"}}
	ask := func(path string) reply {
		t.Helper()
		return r.do(request{method: "GET", path: path, header: stream})
	}
	ask("/v1/claims/nonsense").is(t, 404, "unknown-claim")
	if got := r.do(request{method: "HEAD", path: "/v1/claims/" + ids[0], header: stream}); got.status != 200 || got.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %v", got.status, got.header)
	}
	if got := r.do(request{method: "GET", path: "/v1/claims/" + ids[0], header: http.Header{"Accept": {"*/*"}}}).is(t, 200, ""); got.header.Get("Content-Type") != "application/json" || got.header.Get("Vary") != "Accept" {
		t.Errorf("of any type: %v", got.header)
	}
	only := tuneIn(t, r.service, "/v1/claims/"+ids[0], nil)
	only.Until(position(1))
	if got := ask("/v1/claims/"+ids[1]).is(t, 503, "unavailable"); got.header.Get("Retry-After") != "1" {
		t.Errorf("without a place: %v", got.header)
	}
	r.get("/v1/claims/"+ids[1]).is(t, 200, "")
	only.leave()
	eventually(t, "who left gives the place back", func() bool { return r.service.waiters.Count() == 0 })
	tuneIn(t, r.service, "/v1/claims/"+ids[1], nil).Until(position(2))
}

// While progress is known not to have reached the claim nothing is read: a coupon that cannot be read disturbs nobody.
func TestFollow_ReadsNothingWhilePending(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ids, goOn := r.pending("tea", 2)
	keys := redislayout.New(r.servers.RedisPrefix, event.Partition("tea", parts))
	r.double.redis.Del(t.Context(), keys.Coupon("tea"))
	if err := r.double.redis.Set(t.Context(), keys.Coupon("tea"), "no hash", 0).Err(); err != nil {
		t.Fatal(err)
	}
	r.get("/v1/claims/"+ids[1]).is(t, 503, "unavailable")
	l := tuneIn(t, r.service, "/v1/claims/"+ids[1], nil)
	l.Until(position(2))
	r.setProgress("tea", 1)
	l.Until(position(1))
	goOn() // and the coupon is written anew
	l.Until("granted")
	l.End()
}

// Retired while it is followed: the stream ends without an answer, and who connects again is told to ask the ledger.
func TestFollow_Retired(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ids, goOn := r.pending("tea", 1)
	l := tuneIn(t, r.service, "/v1/claims/"+ids[0], nil)
	l.Until(position(1))
	m, err := event.CouponDefined{CouponID: "tea", Limit: 1, Window: "none", TimeZone: "UTC", ClosesAt: time.Now().Add(-25 * time.Hour)}.Message(event.Meta{Source: "/upstream"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.service.requests.Load().producer.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	r.muted.Store(true) // the double may take claim and definition in two batches: nobody looks in between
	goOn()
	eventually(t, "the claim is retired", func() bool { return r.get("/v1/claims/"+ids[0]).status == 410 })
	for e, over := l.Next(); !over; e, over = l.Next() {
		if e.id != "" && !strings.Contains(e.data, "granted") {
			t.Errorf("the stream says %+v", e)
		}
	}
	again := tuneIn(t, r.service, "/v1/claims/"+ids[0], nil)
	if again.status != http.StatusGone || !strings.Contains(again.text, "problems/retired") || !strings.Contains(again.text, ids[0]) {
		t.Errorf("connected again: %d %s", again.status, again.text)
	}
}

// Redis is emptied: nothing is said that would have to be taken back, and nothing is over.
func TestFollow_RedisEmptied(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ids, goOn := r.pending("tea", 2)
	l := tuneIn(t, r.service, "/v1/claims/"+ids[1], nil)
	l.Until(position(2))
	r.servers.FlushRedis(t)
	r.looked(4)
	if n := len(l.said); n > 0 {
		t.Errorf("%d events, the first %+v", n, <-l.said)
	}
	late := tuneIn(t, r.service, "/v1/claims/"+ids[1], nil)
	if e, _ := late.Next(); e.data+"\n" != r.get("/v1/claims/"+ids[1]).text {
		t.Errorf("who comes now is told %+v", e)
	}
	goOn()
	r.Write()
	for _, l := range []*listener{l, late} {
		l.Until("granted")
		l.End()
	}
}

// A gateway that stops ends its streams, and another goes on with them.
func TestFollow_Stop(t *testing.T) {
	t.Parallel()
	for protocol, client := range clients(t) {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			other, _ := startGateway(t, r.servers)
			eventually(t, "the other is ready", func() bool { return len(other.Ready()) == 0 })
			ids, goOn := r.pending("tea", 30)
			var all []*listener
			for i, id := range ids {
				all = append(all, tuneInBy(t, client, "http://"+r.service.Addr().String()+"/v1/claims/"+id, nil))
				all[i].Until(position(i + 1))
			}
			began := time.Now()
			if err := r.stop(); err != nil {
				t.Errorf("stopped with %v", err)
			}
			if took := time.Since(began); took >= drain {
				t.Errorf("stopping took %s", took)
			}
			for i := range all {
				all[i].End()
				all[i] = tuneInBy(t, client, "http://"+other.Addr().String()+"/v1/claims/"+ids[i], nil)
				all[i].Until(`"status":"pending"`)
			}
			goOn()
			for i := range all {
				if e := all[i].Until("granted"); !strings.Contains(e.data, fmt.Sprintf(`"sequence":%d`, i+1)) {
					t.Errorf("person %d is told %s", i, e.data)
				}
				all[i].End()
			}
		})
	}
}

// A stream has its access log line and its place in the metrics, when it is over.
func TestFollow_Telemetry(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var lines lockedBuffer
	cfg := testConfig(t, r.servers)
	s, err := New(cfg, slog.New(slog.NewJSONHandler(&lines, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	eventually(t, "it is ready", func() bool { return len(s.Ready()) == 0 })
	ids, goOn := r.pending("tea", 1)
	l := tuneIn(t, s, "/v1/claims/"+ids[0], http.Header{"X-Correlation-Id": {"order 17"}})
	if l.header.Get("X-Correlation-ID") != "order 17" {
		t.Errorf("answered with %v", l.header)
	}
	l.Until("pending")
	streams := s.metrics.streams.WithLabelValues("claim")
	if testutil.ToFloat64(streams) != 1 || lines.Contains("order 17") {
		t.Errorf("%v streams are open, and logged is %s", testutil.ToFloat64(streams), &lines)
	}
	goOn()
	l.Until("granted")
	l.End()
	eventually(t, "the stream is logged", func() bool { return lines.Contains("order 17") })
	for line := range strings.Lines(lines.String()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry); entry["correlation_id"] != "order 17" {
			continue
		}
		if entry["route"] != "GET /v1/claims/{id}" || entry["status"] != float64(200) || entry["latency_ms"].(float64) <= 0 || strings.Contains(line, ids[0]) {
			t.Errorf("logged %s", line)
		}
	}
	if testutil.ToFloat64(streams) != 0 {
		t.Errorf("%v streams are open", testutil.ToFloat64(streams))
	}
}

// lockedBuffer takes log lines from many goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) Contains(text string) bool { return strings.Contains(l.String(), text) }
