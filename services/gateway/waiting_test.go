package gateway

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/event"
)

// A message that nobody published costs one look at progress, which is made several times a second.
func TestWaiting_MissedMessage(t *testing.T) {
	t.Parallel()
	if 2*lookEach >= time.Second {
		t.Errorf("a look each %s makes a missed message cost a second", lookEach)
	}
	for _, how := range []string{"Prefer: wait", "stream"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			ids, goOn := r.pending("tea", 1)
			r.muted.Store(true)
			told := make(chan string, 1)
			if how == "stream" {
				l := tuneIn(t, r.service, "/v1/claims/"+ids[0], nil)
				l.Until(position(1))
				go func() { told <- l.Until("granted").data }()
				r.looked(3) // so that the answer need not wait for a second after the position
			} else {
				go func() {
					got, err := try(r.service, claimRequest("tea", "u9", "wait=30"))
					told <- fmt.Sprint(err, got.text)
				}()
				eventually(t, "somebody waits", func() bool { return r.ends()[event.Partition("tea", parts)] == 3 })
			}
			heard := r.service.metrics.messages.WithLabelValues("heard")
			before := testutil.ToFloat64(heard)
			goOn()
			keys := redislayout.New(r.servers.RedisPrefix, event.Partition("tea", parts))
			end := r.ends()[event.Partition("tea", parts)]
			eventually(t, "Redis knows", func() bool {
				at, err := redislayout.ParseProgress(r.double.redis.Get(t.Context(), keys.Progress()).Val())
				return err == nil && at.Offset == end-1
			})
			looks := r.service.redis.looks.Load()
			text := <-told
			// One look may have been under way, one finds out, and a third may come before the test does.
			if n := r.service.redis.looks.Load() - looks; n > 3 {
				t.Errorf("%d looks until somebody was told %s", n, text)
			}
			if !strings.Contains(text, `"claim_id"`) || testutil.ToFloat64(heard) != before {
				t.Errorf("told %s, by %v messages", text, testutil.ToFloat64(heard)-before)
			}
		})
	}
}

// Those who wait read in turn: whoever knocks meanwhile does not stand behind all of them.
func TestWaiting_InTurn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ids, goOn := r.pending("tea", 1)
	var people sync.WaitGroup
	var waited reply
	people.Go(func() { waited, _ = try(r.service, claimRequest("tea", "u2", "wait=20")) })
	var brief reply
	people.Go(func() { brief, _ = try(r.service, claimRequest("tea", "u3", "wait=3")) })
	l := tuneIn(t, r.service, "/v1/claims/"+ids[0], nil)
	l.Until(position(1))
	eventually(t, "all are in the log", func() bool { return r.ends()[event.Partition("tea", parts)] == 4 })

	turns := r.service.requests.Load().turns[event.Partition("tea", parts)]
	for range cap(turns) { // the turns of others, who take their time
		turns <- struct{}{}
	}
	goOn()
	eventually(t, "it is decided", func() bool { return r.get("/v1/claims/"+ids[0]).string("status") == "granted" })
	r.claim("tea", "u4", "").is(t, 409, "sold-out")
	eventually(t, "who would not wait longer is told so", func() bool { return r.service.waiters.Count() == 2 })
	if n := len(l.said); n > 0 {
		t.Errorf("told out of turn: %+v", <-l.said)
	}
	for range cap(turns) {
		<-turns
	}
	l.Until("granted")
	people.Wait()
	waited.is(t, 409, "sold-out")
	if n := len(turns); n != 0 {
		t.Errorf("%d turns are not given back", n)
	}
	if brief.is(t, 202, "").header.Get("Preference-Applied") != "wait=3" {
		t.Errorf("answered %v", brief.header)
	}
}
