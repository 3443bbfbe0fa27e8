package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/internal/telemetry"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway"
	"github.com/firstcome/firstcome/services/issuer"
)

const (
	luckyBox = "lucky-box-405"
	device   = "431593247"
)

// A coupon that is a new one each day, and a device that clicks three times within a millisecond: the first click gets it, the
// others are told that it is the same request, and the next day it may take part again. docs/lucky-box.md shows what is said.
func TestLuckyBox(t *testing.T) {
	t.Parallel()
	w, log, tomorrow := newLuckyWorld(t)
	var page transcript
	day := func(days int) string { return seoulNoon().AddDate(0, 0, days).Format(time.DateOnly) }

	page.add("The coupon", w.ask(put(luckyBox, `{"limit":100,"window":"daily","time_zone":"Asia/Seoul"}`)))
	first, others := w.threeClicks(day(0))
	page.add("The first click", first)
	page.add(fmt.Sprintf("The second, sent %.1f ms after it", ms(others[0].at.Sub(first.at))), others[0])
	page.add(fmt.Sprintf("The third, sent %.1f ms after that", ms(others[1].at.Sub(others[0].at))), others[1])
	if first.Status != 200 || first.State != "granted" || first.Sequence != 1 || windowOf(t, first) != day(0) {
		t.Errorf("the first click is told %d %s", first.Status, first.Text)
	}
	for _, o := range others {
		if o.Status != 409 || !strings.HasSuffix(o.Type, "/duplicate-request") || o.ClaimID == "" && o.Header.Get("Retry-After") == "" ||
			o.ClaimID != "" && o.ClaimID != first.ClaimID {
			t.Errorf("a later click is told %d %s", o.Status, o.Text)
		}
	}
	tomorrow()
	again := w.ask(clickOf(4))
	page.add("The next day", again)
	if again.Status != 200 || again.State != "granted" || again.Sequence != 1 || windowOf(t, again) != day(1) {
		t.Errorf("the next day it is told %d %s", again.Status, again.Text)
	}
	now := w.ask(get("/v1/claims/" + first.ClaimID))
	page.add("What became of the first click, asked the next day", now)
	if now.Text != first.Text {
		t.Errorf("told %s, and the next day %s", first.Text, now.Text)
	}
	w.eventually("the journal lists two", func() bool { return len(w.journal(luckyBox)) == 2 })
	for i, g := range w.journal(luckyBox) {
		if g.UserID != device || g.Sequence != 1 || g.Window != day(i) {
			t.Errorf("the journal has %+v", g)
		}
	}
	for i, status := range []int{200, 409, 409, 200} {
		page.lines = append(page.lines, log.accessLine(t, w, clickID(i+1), status))
	}
	page.check(t, "../../docs/lucky-box.md")
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func clickID(n int) string { return fmt.Sprint("click-", n) }

func clickOf(n int) call {
	c := claim(luckyBox, device, "5")
	c.header["X-Correlation-ID"] = clickID(n)
	return c
}

// threeClicks posts three claims half a millisecond apart; the second only once the first has taken its guard, since on a busy
// machine a request that was sent later may arrive earlier.
func (w *world) threeClicks(day string) (first told, others [2]told) {
	w.t.Helper()
	var clicks [3]told
	var all sync.WaitGroup
	click := func(n int) {
		begun := make(chan struct{})
		all.Go(func() {
			at := time.Now() // before the next one may begin
			close(begun)
			clicks[n] = w.ask(clickOf(n + 1))
			clicks[n].at = at
		})
		<-begun
	}
	redis := w.servers.Redis(w.t)
	guard := redislayout.New(w.servers.RedisPrefix, event.Partition(luckyBox, parts)).Guard(luckyBox, day, device)
	tick, late := time.NewTicker(500*time.Microsecond), time.After(soon)
	defer tick.Stop()
	click(0)
	for <-tick.C; redis.Exists(w.t.Context(), guard).Val() == 0; <-tick.C {
		select {
		case <-late:
			w.t.Fatal("the first click never came to its guard")
		default:
		}
	}
	click(1)
	tick.Reset(500 * time.Microsecond)
	<-tick.C
	click(2)
	all.Wait()
	return clicks[0], [2]told{clicks[1], clicks[2]}
}

func windowOf(t *testing.T, a told) string {
	t.Helper()
	var body struct{ Window string }
	if err := json.Unmarshal([]byte(a.Text), &body); err != nil {
		t.Error(err)
	}
	return body.Window
}

// seoulNoon is today's: a story that begins then does not end on another day.
func seoulNoon() time.Time {
	seoul := time.FixedZone("KST", 9*60*60)
	y, m, d := time.Now().In(seoul).Date()
	return time.Date(y, m, d, 12, 0, 0, 0, seoul)
}

// newLuckyWorld has a requests topic with the clients' clocks, and a gateway whose clock can be set to the next day: so the
// append time of what it appends is tomorrow's, which is all that decides the day.
func newLuckyWorld(t *testing.T) (*world, *logged, func()) {
	t.Helper()
	servers := coupontest.Start(t, coupontest.Kafka, coupontest.Redis)
	anyTime := map[string]string{"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": fmt.Sprint(48 * time.Hour.Milliseconds())}
	topic := func(name string, partitions int) broker.TopicSpec {
		return broker.TopicSpec{Name: servers.TopicPrefix + name, Partitions: partitions, Replication: 1, Config: anyTime}
	}
	err := servers.Kafka(t).CreateTopics(t.Context(), []broker.TopicSpec{
		topic(event.TopicRequests, parts), topic(event.TopicGrants, parts), topic(event.TopicDeadLetters, 1),
	})
	if err != nil {
		t.Fatal(err)
	}
	var days atomic.Int64
	noon, began, log := seoulNoon(), time.Now(), &logged{}
	now := func() time.Time { return noon.Add(time.Since(began)).AddDate(0, 0, int(days.Load())) }
	return luckyServices(t, servers, log, now), log, func() { days.Add(1) }
}

func luckyServices(t *testing.T, servers *coupontest.Servers, out *logged, now func() time.Time) *world {
	t.Helper()
	w, log := &world{t: t, servers: servers}, telemetry.NewLogger(out, slog.LevelInfo)
	kafka := broker.Config{Brokers: servers.Brokers, TopicPrefix: servers.TopicPrefix}
	redis := env.Redis{Addr: []string{servers.RedisAddr}, Mode: "single", Prefix: servers.RedisPrefix}
	i, err := issuer.New(issuer.Config{Config: kafka, Redis: redis, AllowCreateTime: true}, log, prometheus.NewRegistry())
	w.run(err, i)
	g, err := gateway.New(gateway.Config{
		Config: kafka, Redis: redis, ListenAddr: "127.0.0.1:0", AllowCreateTime: true, Now: now,
		AdminTokens: tokens(t, "root="+admin), ClaimTokens: tokens(t, "shop="+shop),
		ClaimIDKeys: "7=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=",
	}, log, prometheus.NewRegistry())
	w.run(err, g)
	w.gateways = append(w.gateways, g)
	w.eventually("issuer and gateway are ready", func() bool { return len(i.Ready()) == 0 && len(g.Ready()) == 0 })
	return w
}

// logged is what the services have logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) find(correlationID string) (lines []string, all string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all = l.text.String()
	for line := range strings.Lines(all) {
		if strings.Contains(line, `"msg":"request","correlation_id":"`+correlationID+`"`) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines, all
}

// accessLine is the one line about a request, written once its answer is complete: with its latency, and without ids.
func (l *logged) accessLine(t *testing.T, w *world, correlationID string, status int) string {
	t.Helper()
	var lines []string
	var all string
	w.eventually("the request is logged", func() bool { lines, all = l.find(correlationID); return len(lines) > 0 })
	var said struct {
		Status       int
		LatencyMS    float64 `json:"latency_ms"`
		Problem      string
		Coupon, User string
	}
	if err := json.Unmarshal([]byte(lines[0]), &said); err != nil {
		t.Fatal(err)
	}
	if len(lines) != 1 || said.Status != status || said.LatencyMS <= 0 || said.Coupon != telemetry.Hash(luckyBox) || said.User != telemetry.Hash(device) ||
		(said.Problem == "duplicate-request") != (status == 409) {
		t.Errorf("%s was logged as %q", correlationID, lines)
	}
	if strings.Contains(all, device) {
		t.Errorf("the log names the device: %s", all)
	}
	return lines[0]
}
