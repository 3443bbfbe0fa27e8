//go:build chaos

package chaos

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
	"github.com/firstcome/firstcome/test/process"
)

var (
	busy   = flag.Float64("busy", 5000, "people who arrive each second while Redis is emptied")
	before = flag.Int("before", 100_000, "grants that the emptied coupon has by then")
)

// How long may pass is measured and written down, never asserted: on a machine that others use too it says more about them.
// What fails these tests is a broken promise.

// Redis is emptied by FLUSHALL while a crowd asks for one coupon of which many were granted before, and once more when
// nobody asks.
func TestFlushall(t *testing.T) {
	w := newWorld(t, coupontest.StartAlone(t))
	const coupon, room = "tea", 10_000_000
	process.Must(t, w.people, "coupon", "put", coupon, "--limit", strconv.Itoa(room))
	w.grantMany(coupon, *before)

	many := &crowd{coupon, process.StartLoad(t, w.people, "--coupon", coupon, "--rate", fmt.Sprint(*busy), "--duration", "12s", "--give-up", giveUp.String()), true}
	c := &crowds{w: w, all: []*crowd{many}, probes: []string{coupon}, changed: make(chan struct{})}
	close(c.changed)
	w.pause(time.Now().Add(5 * time.Second))
	struck := time.Now()
	flushed(w, 0)
	c.end()
	told := w.answers(c)
	got := result{Kind: "FLUSHALL under load"}
	got.Recovery, got.Silence = recovery(told.probes, struck)
	w.judge(&got, c, told)
	t.Log(many.load.Output)

	quiet := result{Kind: "FLUSHALL without traffic"}
	quiet.Recovery = w.rebuilt([]string{coupon}, func() { flushed(w, 0) })
	w.judge(&quiet, c, told)
	for _, r := range []result{got, quiet} {
		t.Log(r)
		if !r.ok() {
			t.Errorf("%s: a promise was broken", r.Kind)
		}
	}
	w.publish("Timed: Redis is emptied", figures(
		figure{fmt.Sprintf("FLUSHALL during %.0f claims/s on one coupon with %d grants: claims go on within", *busy, *before), "5 s", seconds(got.Recovery)},
		figure{fmt.Sprintf("FLUSHALL without traffic, %d grants: rebuilt within", quiet.Granted), "3 s", seconds(quiet.Recovery)},
		figure{"differences and breaches", "0", strconv.Itoa(got.Differences + quiet.Differences + len(got.found) + len(quiet.found))},
	))
}

// grantMany lets so many people have the coupon, by requests that are written into the log at once.
func (w *world) grantMany(coupon string, n int) {
	w.t.Helper()
	p, err := producer.New(producer.Config{Client: w.kafka, Topic: w.kafka.Config().Topic(event.TopicRequests)})
	if err != nil {
		w.t.Fatal(err)
	}
	defer p.Close(w.t.Context())
	for from := 0; from < n; from += 10_000 {
		messages := make([]event.Message, min(10_000, n-from))
		for i := range messages {
			claim := event.ClaimRequested{CouponID: coupon, UserID: fmt.Sprintf("before-%07d", from+i)}
			if messages[i], err = claim.Message(event.Meta{Source: "/firstcome/gateway"}); err != nil {
				w.t.Fatal(err)
			}
		}
		if _, err := p.PublishTo(w.t.Context(), event.Partition(coupon, partitions), messages...); err != nil {
			w.t.Fatal(err)
		}
	}
	process.Eventually(w.t, func() bool {
		_, body := process.Get(w.t, w.gateways[0].Public+"/v1/coupons/"+coupon, "")
		return strings.Contains(body, fmt.Sprintf(`"granted":%d,`, n))
	}, func() string { return fmt.Sprintf("%d are not granted", n) })
}

// One of two issuers stands still for 30 s: the other takes over, and the first steps down when it wakes, with one line.
func TestTakeover(t *testing.T) {
	w := newWorld(t, coupontest.StartAlone(t))
	const still = 30 * time.Second
	stopped := w.issuers[0]
	var woken int // length of its log when it woke
	r := round{Number: 1, Kind: "issuer stopped for 30 s", Moment: 2 * time.Second, Change: 3 * time.Second, HotShare: 0.5, Traffic: 2*time.Second + still + settle}
	got := w.loudRound(r, func(began time.Time) (time.Time, time.Duration) {
		w.pause(began.Add(r.Moment))
		struck := time.Now()
		stopped.Signal(t, syscall.SIGSTOP)
		w.pause(struck.Add(still))
		woken = len(stopped.Text())
		stopped.Signal(t, syscall.SIGCONT)
		process.Eventually(t, func() bool {
			return strings.Contains(stopped.Text()[woken:], `"msg":"joined the group"`)
		}, func() string { return "the issuer that woke does not join again: " + stopped.Text()[woken:] })
		return struck, time.Since(struck)
	})
	t.Log(got)
	if !got.ok() {
		t.Error("a promise was broken")
	}
	until, _, _ := strings.Cut(stopped.Text()[woken:], `"msg":"joined the group"`)
	steps := strings.Count(until, `"msg":"stepped down`)
	if lines := strings.Count(until, "\n"); steps != 1 || lines > 1 {
		t.Errorf("it steps down with %d lines of %d:\n%s", steps, lines, until)
	}
	w.publish("Timed: an issuer stands still", figures(
		figure{"one of two issuers stopped for 30 s: the other takes over within", "10 s", seconds(got.Recovery)},
		figure{"log lines with which the first steps down", "1", strconv.Itoa(steps)},
		figure{"differences and breaches", "0", strconv.Itoa(got.Differences + len(got.found))},
	))
}
