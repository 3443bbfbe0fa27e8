package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

func inText(d time.Duration) string { return time.Now().UTC().Add(d).Format(timeLayout) }

func TestGateway_PutCoupon(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	created := r.put("tea", `{"limit":1,"window":"daily","time_zone":"Asia/Seoul"}`).is(t, 201, "")
	if at := created.header.Get("Location"); at != "/v1/coupons/tea" {
		t.Errorf("Location %q", at)
	}
	if got := r.get("/v1/coupons/tea").is(t, 200, ""); got.text != created.text {
		t.Errorf("PUT answers %s, GET %s", created.text, got.text)
	}
	r.put("tea", `{"limit":2,"window":"none"}`).is(t, 200, "") // nothing was granted yet
	r.claim("tea", "u", "wait=9").is(t, 200, "")
	r.put("tea", `{"limit":2,"window":"daily"}`).is(t, 409, "definition-conflict")
	r.put("tea", `{"limit":2,"time_zone":"Asia/Seoul"}`).is(t, 409, "definition-conflict")
	if got := r.put("tea", `{"limit":1,"closes_at":"`+inText(time.Hour)+`"}`).is(t, 200, ""); got.string("status") != "sold_out" || got.number("remaining") != 0 {
		t.Errorf("a limit that fell: %s", got.text)
	}
	if got := r.put("tea", `{"limit":3}`).is(t, 200, ""); got.string("status") != "open" || got.body["closes_at"] != nil || got.number("remaining") != 2 {
		t.Errorf("a limit that rose, and a time that was cleared: %s", got.text)
	}
	r.put("tea", `{"limit":3,"closes_at":"`+inText(-25*time.Hour)+`"}`).is(t, 200, "")
	r.put("tea", `{"limit":3}`).is(t, 410, "retired")
}

func TestGateway_TooManyDefinitions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	topic := r.servers.TopicPrefix + event.TopicRequests
	out, err := producer.New(producer.Config{Client: r.servers.Kafka(t), Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	messages := make([]event.Message, fcfs.MaxDefinitions)
	for i := range messages {
		if messages[i], err = (event.CouponDefined{CouponID: "tea", Limit: 1, Window: "none", TimeZone: "UTC"}).Message(event.Meta{Source: "/test"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := out.PublishTo(t.Context(), event.Partition("tea", parts), messages...); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.put("tea", `{"limit":1}`).is(t, 422, "invalid")
}

func TestGateway_CouponStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	past, future := inText(-time.Hour), inText(time.Hour)
	for _, c := range []struct {
		body, status string
		claims       int
	}{
		{`{"limit":1}`, "open", 0},
		{`{"limit":1}`, "sold_out", 1},
		{`{"limit":1,"opens_at":"` + past + `","closes_at":"` + future + `"}`, "open", 0},
		{`{"limit":1,"opens_at":"` + past + `","closes_at":"` + future + `"}`, "sold_out", 1},
		{`{"limit":1,"opens_at":"` + future + `"}`, "scheduled", 0},
		{`{"limit":1,"closes_at":"` + past + `"}`, "closed", 0},
	} {
		id := "c-" + strings.ReplaceAll(c.status, "_", "") + fmt.Sprint(len(c.body), "-", c.claims)
		r.put(id, c.body).is(t, 201, "")
		for i := range c.claims {
			r.claim(id, fmt.Sprint(i), "wait=9").is(t, 200, "")
		}
		if got := r.get("/v1/coupons/"+id).is(t, 200, ""); got.string("status") != c.status {
			t.Errorf("%s with %d claims is %q, want %q", c.body, c.claims, got.string("status"), c.status)
		}
	}
	r.put("was-sold-out", `{"limit":1}`)
	r.claim("was-sold-out", "u", "wait=9").is(t, 200, "")
	if got := r.put("was-sold-out", `{"limit":1,"opens_at":"`+future+`"}`); got.string("status") != "scheduled" {
		t.Errorf("sold out, and scheduled again: %s", got.text)
	}
	if got := r.put("was-sold-out", `{"limit":1,"closes_at":"`+past+`"}`); got.string("status") != "closed" {
		t.Errorf("sold out and closed: %s", got.text)
	}
}

// Stock, sequence and the person's rule begin again each day of the coupon's zone; the gateway's clock only shows it.
func TestGateway_DailyWindow(t *testing.T) {
	t.Parallel()
	seoul, err := fcfs.LoadZone("Asia/Seoul")
	if err != nil {
		t.Fatal(err)
	}
	r, ahead := newShiftedRig(t)
	r.put("box", `{"limit":1,"window":"daily","time_zone":"Asia/Seoul"}`).is(t, 201, "")
	granted := r.claim("box", "u", "wait=9").is(t, 200, "")
	day := granted.string("window")
	if at, err := time.Parse(time.RFC3339, granted.string("requested_at")); err != nil || day != at.In(seoul).Format(time.DateOnly) {
		t.Errorf("requested at %s, granted for %s", granted.string("requested_at"), day)
	}
	if got := r.get("/v1/coupons/box"); got.string("current_window") != day || got.string("status") != "sold_out" || got.string("window") != "daily" {
		t.Errorf("today: %s", got.text)
	}
	ahead.Store(int64(24 * time.Hour))
	if got := r.get("/v1/coupons/box"); got.string("current_window") <= day || got.string("status") != "open" || got.number("granted") != 0 {
		t.Errorf("tomorrow: %s", got.text)
	}
}

func TestGateway_ListCoupons(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if got := r.get("/v1/coupons").is(t, 200, ""); got.text != `{"coupons":[],"next":null}`+"\n" {
		t.Errorf("nothing: %s", got.text)
	}
	var want []string
	for i := range 23 {
		id := fmt.Sprintf("%c-coupon~%d.%d", "aZ_0-"[i%5], i*i%7, i)
		r.put(id, fmt.Sprintf(`{"limit":%d}`, i+1)).is(t, 201, "")
		want = append(want, id)
	}
	slices.Sort(want)
	for _, limit := range []int{1, 5, 22, 23, 24, 1000} {
		var got []string
		for after := ""; ; {
			page := r.get(fmt.Sprintf("/v1/coupons?limit=%d%s", limit, after)).is(t, 200, "")
			coupons, _ := page.body["coupons"].([]any)
			for _, c := range coupons {
				got = append(got, c.(map[string]any)["coupon_id"].(string))
			}
			next, more := page.body["next"].(string)
			if !more {
				break
			}
			if len(coupons) != limit || next != got[len(got)-1] {
				t.Fatalf("limit %d: a page of %d, with more after %q", limit, len(coupons), next)
			}
			after = "&after=" + url.QueryEscape(next)
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: %q, want %q", limit, got, want)
		}
	}
	one := r.get("/v1/coupons/" + want[3])
	listed := r.get("/v1/coupons?limit=1&after=" + url.QueryEscape(want[2]))
	if !strings.Contains(listed.text, strings.TrimSpace(one.text)) {
		t.Errorf("listed %s, alone %s", listed.text, one.text)
	}
}

// What a client sends to follow its request is in the answer and in the record.
func TestGateway_Correlation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":9}`).is(t, 201, "")
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	q := claimRequest("tea", "u", "wait=9")
	q.header["X-Correlation-Id"], q.header["Traceparent"] = []string{"order 17"}, []string{parent}
	got := r.do(q).is(t, 200, "")
	if got.header.Get("X-Correlation-ID") != "order 17" || got.header.Get("traceparent") != parent {
		t.Errorf("answered with %q and %q", got.header.Get("X-Correlation-ID"), got.header.Get("traceparent"))
	}
	e := r.lastEvent("tea")
	if e.CorrelationID != "order 17" || e.TraceParent != parent || e.Source != "/firstcome/gateway" || e.Subject != "tea" {
		t.Errorf("the record has %+v", e.Meta)
	}
	q = claimRequest("tea", "v", "wait=9")
	q.header["X-Correlation-Id"] = []string{strings.Repeat("x", 129)}
	got = r.do(q).is(t, 200, "")
	if made := got.header.Get("X-Correlation-ID"); len(made) > 128 || made == "" || r.lastEvent("tea").CorrelationID != made {
		t.Errorf("instead of one too long: %q, in the record %q", made, r.lastEvent("tea").CorrelationID)
	}
}

// lastEvent is the last record of a coupon's partition.
func (r *rig) lastEvent(coupon string) event.Event {
	r.t.Helper()
	p := event.Partition(coupon, parts)
	records := r.records(p)
	e, err := event.Decode(records[len(records)-1])
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

func TestGateway_HeadAndAllow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if got := r.do(request{method: http.MethodPost, path: "/v1/coupons/tea"}).is(t, 405, "method-not-allowed"); got.header.Get("Allow") != "GET, HEAD, PUT" {
		t.Errorf("Allow: %q", got.header.Get("Allow"))
	}
	if got := r.do(request{method: http.MethodHead, path: "/v1/coupons/tea"}); got.status != 404 || got.text != "" {
		t.Errorf("HEAD: %d %q", got.status, got.text)
	}
}

// A crowd that lists coupons does not stand in the way of those who claim.
func TestGateway_ListsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range listsAtOnce {
		r.service.lists <- struct{}{}
	}
	r.get("/v1/coupons").is(t, 503, "unavailable")
	<-r.service.lists
	r.get("/v1/coupons").is(t, 200, "")
	r.get("/v1/coupons").is(t, 200, "") // the first one's place is free again
}

// While Kafka stands still, whoever asks for a coupon of a partition in which nothing was ever said is told so soon: they
// share one question to the broker, and do not ask it one after another.
func TestGateway_EmptyPartitionOfASilentKafka(t *testing.T) {
	t.Parallel()
	const people = 40
	servers := coupontest.StartAlone(t, coupontest.Kafka, coupontest.Redis)
	r := newRigOn(t, servers)
	servers.Pause(t, coupontest.Kafka)
	defer servers.Resume(t, coupontest.Kafka)
	l := r.service.requests.Load()
	eventually(t, "the broker's last answer is old", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return time.Since(l.asked) > time.Second
	})
	began := time.Now()
	var all sync.WaitGroup
	for range people {
		all.Go(func() { r.get("/v1/coupons/tea").is(t, 503, "unavailable") })
	}
	all.Wait()
	if took := time.Since(began); took > people/2*time.Second {
		t.Errorf("%d people were told after %s", people, took)
	}
}
