package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

var asAdmin = http.Header{"Authorization": {"Bearer " + adminToken}}

func (r *rig) console() *listener {
	r.t.Helper()
	return tuneIn(r.t, r.service, "/v1/stream", asAdmin)
}

// says checks that a stream says of a coupon what GET does.
func (r *rig) says(l *listener, coupon, text string) {
	r.t.Helper()
	for {
		e := l.Until(`"coupon_id":"` + coupon + `"`)
		if e.event != "coupon" || e.id != "" {
			r.t.Fatalf("the stream says %+v", e)
		}
		if !strings.Contains(e.data, text) {
			continue // the newest state is on its way
		}
		if plain := r.get("/v1/coupons/" + coupon); plain.text != e.data+"\n" {
			r.t.Errorf("the stream says %s, and GET %s", e.data, plain.text)
		}
		return
	}
}

// All coupons come first, ordered, and then each that changes.
func TestBoard_Story(t *testing.T) {
	t.Parallel()
	for protocol, client := range clients(t) {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			var want []string
			for i := range 12 {
				id := fmt.Sprintf("c%02d", i)
				r.put(id, `{"limit":3}`).is(t, 201, "")
				want = append(want, strings.TrimSpace(r.get("/v1/coupons/"+id).text))
			}
			l := tuneInBy(t, client, "http://"+r.service.Addr().String()+"/v1/stream", asAdmin)
			if first := <-l.said; first.retry != "1000" {
				t.Errorf("it begins with %+v", first)
			}
			for _, text := range want {
				if e, over := l.Next(); over || e.data != text || e.event != "coupon" {
					t.Fatalf("the stream says %+v, want %s", e, text)
				}
			}
			r.claim("c07", "u1", "wait=9").is(t, 200, "")
			r.says(l, "c07", `"granted":1`)
			r.put("c03", `{"limit":9}`).is(t, 200, "")
			r.says(l, "c03", `"limit":9`)
			r.put("new", `{"limit":1}`).is(t, 201, "")
			r.says(l, "new", `"limit":1`)
			r.claim("new", "u1", "wait=9").is(t, 200, "")
			r.says(l, "new", `"status":"sold_out"`)
			second := tuneInBy(t, client, "http://"+r.service.Addr().String()+"/v1/stream", asAdmin)
			for range 13 {
				second.Next()
			}
			streams := r.service.metrics.streams.WithLabelValues("coupons")
			if n := testutil.ToFloat64(streams); n != 2 {
				t.Errorf("%v streams are open", n)
			}
			second.leave()
			eventually(t, "one has left", func() bool { return testutil.ToFloat64(streams) == 1 })
			if err := r.stop(); err != nil {
				t.Errorf("stopped with %v", err)
			}
			l.End()
		})
	}
}

// A partition may have more coupons than are read at once.
func TestBoard_Pages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var messages []event.Message
	for i := 0; len(messages) < 2*boardPage+1; i++ {
		if id := fmt.Sprint("c", i); event.Partition(id, parts) == 1 {
			m, err := event.CouponDefined{CouponID: id, Limit: 1, Window: "none", TimeZone: "UTC"}.Message(event.Meta{Source: "/upstream"})
			if err != nil {
				t.Fatal(err)
			}
			messages = append(messages, m)
		}
	}
	if _, err := r.service.requests.Load().producer.PublishTo(t.Context(), 1, messages...); err != nil {
		t.Fatal(err)
	}
	l := r.console()
	told := map[string]bool{}
	for range messages {
		e, _ := l.Next()
		told[e.data] = true
	}
	if len(told) != len(messages) {
		t.Errorf("told of %d coupons, want %d", len(told), len(messages))
	}
}

// Something is said, and readers are woken, only where something has changed.
func TestBoard_SaysChanges(t *testing.T) {
	b := newBoard(nil)
	changed, _ := b.Join()
	opens := historyT + 1000
	d := fcfs.Definition{CouponID: "tea", Limit: 2, Window: fcfs.WindowNone, TimeZone: "UTC", OpensAt: opens, Rules: 1}
	b.coupons["tea"] = &shown{reading: verdict.Reading{Definitions: []fcfs.Defined{{Definition: d}}}}
	told := uint64(0)
	for _, c := range []struct {
		now     fcfs.Millis
		granted int64
		current bool
		want    string // status; "": nothing new
	}{
		{historyT, 0, false, ""},
		{historyT, 0, true, "scheduled"},
		{historyT + 999, 0, true, ""},
		{opens, 0, false, ""},
		{opens, 0, true, "open"},
		{opens + 1, 2, true, "sold_out"},
		{opens + 2, 2, true, ""},
	} {
		b.coupons["tea"].reading.Granted = c.granted
		b.say([]bool{c.current}, c.now)
		messages, last := b.Since(told)
		if told = last; woken(&waiter{C: changed}) != (c.want != "") || len(messages) > 1 || len(messages) == 0 != (c.want == "") {
			t.Errorf("%+v: said %v", c, messages)
		}
		if len(messages) == 1 && !strings.Contains(string(messages[0].data), `"status":"`+c.want+`"`) {
			t.Errorf("%+v: said %s", c, messages[0].data)
		}
	}
}

// However much happens, a coupon is told once a second: nobody is flooded.
func TestBoard_AtMostOneASecond(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":1000000}`).is(t, 201, "")
	l := r.console()
	began := time.Now()
	r.says(l, "tea", `"granted":0`)
	people, events := 0, 0
	for ; time.Since(began) < 3500*time.Millisecond; people++ {
		r.claim("tea", fmt.Sprint(people), "wait=9").is(t, 200, "")
	}
	for granted := fmt.Sprintf(`"granted":%d,`, people); ; {
		e := l.Until("tea")
		events++
		if strings.Contains(e.data, granted) {
			break
		}
	}
	if most := int(time.Since(began)/time.Second) + 1; events > most || events < 2 {
		t.Errorf("%d events about %d claims in %s", events, people, time.Since(began))
	}
}

// Time alone opens and closes a coupon, and begins a day.
func TestBoard_Time(t *testing.T) {
	t.Parallel()
	r, ahead := newShiftedRig(t)
	r.put("later", `{"limit":1,"opens_at":"`+inText(time.Hour)+`","closes_at":"`+inText(2*time.Hour)+`"}`).is(t, 201, "")
	r.put("box", `{"limit":1,"window":"daily"}`).is(t, 201, "")
	day := r.claim("box", "u", "wait=9").is(t, 200, "").string("window")
	l := r.console()
	r.says(l, "box", `"granted":1,"remaining":0,"status":"sold_out","window":"daily","current_window":"`+day+`"`)
	l.Until(`"coupon_id":"later","limit":1,"granted":0,"remaining":1,"status":"scheduled"`)
	ahead.Store(int64(90 * time.Minute))
	r.says(l, "later", `"status":"open"`)
	ahead.Store(int64(150 * time.Minute))
	r.says(l, "later", `"status":"closed"`)
	ahead.Store(int64(24 * time.Hour))
	tomorrow := time.Now().UTC().Add(24 * time.Hour).Format(time.DateOnly)
	r.says(l, "box", `"granted":0,"remaining":1,"status":"open","window":"daily","current_window":"`+tomorrow+`"`)
}

// While Redis is emptied or behind nothing is said, not even what the time would change; then it goes on.
func TestBoard_RedisEmptied(t *testing.T) {
	t.Parallel()
	r, ahead := newShiftedRig(t)
	r.put("tea", `{"limit":2,"closes_at":"`+inText(time.Hour)+`"}`).is(t, 201, "")
	r.claim("tea", "u1", "wait=9").is(t, 200, "")
	l := r.console()
	r.says(l, "tea", `"granted":1`)
	goOn := r.Hold()
	defer goOn()
	r.servers.FlushRedis(t)
	late := r.console()
	ahead.Store(int64(2 * time.Hour))
	r.looked(6)
	r.setProgress("tea", 0) // older than what was heard
	r.looked(4)
	if n := len(l.said); n > 0 {
		t.Errorf("while Redis was emptied and behind: %+v", <-l.said)
	}
	for e := range late.waiting() {
		if e.event != "" && !strings.Contains(e.data, `"granted":1`) {
			t.Errorf("who came meanwhile was told %+v", e)
		}
	}
	goOn()
	r.Write()
	r.says(l, "tea", `"granted":1,"remaining":1,"status":"closed"`)
	r.says(late, "tea", `"granted":1,"remaining":1,"status":"closed"`)
}

// waiting are the things that were said and not yet taken.
func (l *listener) waiting() func(func(said) bool) {
	return func(yield func(said) bool) {
		for len(l.said) > 0 && yield(<-l.said) {
		}
	}
}

func TestBoard_Problems(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ask := func(method, token string) reply {
		t.Helper()
		return r.do(request{method: method, path: "/v1/stream", token: token})
	}
	ask("GET", "").is(t, 401, "unauthorized")
	ask("GET", "wrong").is(t, 401, "unauthorized")
	ask("GET", claimToken).is(t, 403, "forbidden")
	ask("POST", adminToken).is(t, 405, "method-not-allowed")
	if got := ask("HEAD", adminToken); got.status != 200 || got.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %v", got.status, got.header)
	}
	var all []*listener
	for range maxReaders {
		all = append(all, r.console())
	}
	if got := ask("GET", adminToken).is(t, 503, "unavailable"); got.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %v", got.header)
	}
	for _, l := range all {
		l.leave()
	}
	eventually(t, "all have left", func() bool { return testutil.ToFloat64(r.service.metrics.streams.WithLabelValues("coupons")) == 0 })
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	r.says(r.console(), "tea", `"limit":1`)
}

// The board looks once a second while there is a reader, however many there are, and not at all without.
func TestBoard_LooksOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		b := newBoard(nil)
		b.look = func(context.Context) { looks++ }
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go b.Run(ctx)
		after := func(d time.Duration, readers, want int) {
			t.Helper()
			<-time.After(d)
			synctest.Wait()
			if looks != want {
				t.Errorf("%d looks in %s with %d readers, want %d", looks, d, readers, want)
			}
			looks = 0
		}
		after(time.Hour, 0, 0)
		var readers []chan struct{}
		for _, n := range []int{1, maxReaders} {
			for len(readers) < n {
				reader, free := b.Join()
				if !free {
					t.Fatal("no place")
				}
				readers = append(readers, reader)
			}
			want := 10
			if n == 1 {
				want++ // the first, at once
			}
			after(10*time.Second, n, want)
		}
		for _, reader := range readers {
			b.Leave(reader)
		}
		after(time.Hour, 0, 0)
		readers[0], _ = b.Join()
		after(time.Second/2, 1, 1)
		b.Leave(readers[0])
	})
}

// Of what changed several times while a reader was busy, it gets the newest state alone.
func TestBoard_Newest(t *testing.T) {
	b := newBoard(nil)
	show := func(id, text string) {
		b.changes++
		b.coupons[id] = &shown{body: couponBody{CouponID: id}, text: []byte(text), change: b.changes}
	}
	texts := func(messages []message) (all []string) {
		for _, m := range messages {
			all = append(all, string(m.data))
		}
		return all
	}
	show("b", "b1")
	show("a", "a1")
	all, told := b.Since(0)
	for i := range 5 {
		show("a", fmt.Sprint("a", i+2))
	}
	show("c", "c1")
	changed, last := b.Since(told)
	nothing, same := b.Since(last)
	if !slices.Equal(texts(all), []string{"a1", "b1"}) || !slices.Equal(texts(changed), []string{"a6", "c1"}) || len(nothing) != 0 || same != last {
		t.Errorf("first %s, then %s, then %s", texts(all), texts(changed), texts(nothing))
	}
}
