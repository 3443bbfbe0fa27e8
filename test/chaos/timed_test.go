//go:build chaos

package chaos

import (
	"context"
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
	busy   = flag.Float64("busy", 5000, "claims each second while Redis is emptied")
	people = flag.Float64("people", 500, "how many of them come through the gateways; upstream systems write the others into the log")
	before = flag.Int("before", 100_000, "grants that the emptied coupon has by then")
)

// How long may pass is measured and written down, never asserted: on a machine that others use too it says more about them.
// What fails these tests is a broken promise.

// Redis is emptied by FLUSHALL while a crowd asks for one coupon of which many were granted before, and once more when
// nobody asks.
func TestFlushall(t *testing.T) {
	w := newWorld(t, coupontest.StartAlone(t))
	const coupon, room, crowded = "tea", 10_000_000, 12 * time.Second
	w.define(coupon, fmt.Sprintf(`{"limit":%d}`, room))
	upstream, err := producer.New(producer.Config{Client: w.kafka, Topic: w.kafka.Config().Topic(event.TopicRequests)})
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close(context.Background())
	claims := &claims{producer: upstream, coupon: coupon}
	if err := claims.write(t.Context(), *before); err != nil {
		t.Fatal(err)
	}
	w.granted(coupon, *before)

	many := &crowd{coupon, process.StartLoad(t, w.people, "--coupon", coupon, "--rate", fmt.Sprint(*people), "--duration", crowded.String(), "--give-up", giveUp.String()), true}
	wrote := make(chan error, 1)
	go func() { wrote <- claims.keepOn(t.Context(), *busy-*people, crowded) }()
	c := &crowds{w: w, all: []*crowd{many}, probes: []string{coupon}, changed: make(chan struct{})}
	close(c.changed)
	w.pause(time.Now().Add(5 * time.Second))
	struck := time.Now()
	flushed(w, 0)
	c.end()
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
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
		figure{fmt.Sprintf("FLUSHALL during %.0f claims/s on one coupon with %d grants (%.0f/s through the gateways): claims go on within", *busy, *before, *people), "5 s", seconds(got.Recovery)},
		figure{fmt.Sprintf("FLUSHALL without traffic, %d grants: rebuilt within", quiet.Granted), "3 s", seconds(quiet.Recovery)},
		figure{"differences and breaches", "0", strconv.Itoa(got.Differences + quiet.Differences + len(got.found) + len(quiet.found))},
	))
}

// claims are those of an upstream system, which writes them into the log itself: each of another person.
type claims struct {
	producer *producer.Producer
	coupon   string
	written  int
}

// write writes so many more, and returns when the log has them.
func (c *claims) write(ctx context.Context, n int) error {
	for end := c.written + n; c.written < end; {
		messages := make([]event.Message, min(10_000, end-c.written))
		for i := range messages {
			claim := event.ClaimRequested{CouponID: c.coupon, UserID: fmt.Sprintf("upstream-%08d", c.written+i)}
			var err error
			if messages[i], err = claim.Message(event.Meta{Source: "/upstream"}); err != nil {
				return err
			}
		}
		if _, err := c.producer.PublishTo(ctx, event.Partition(c.coupon, partitions), messages...); err != nil {
			return err
		}
		c.written += len(messages)
	}
	return nil
}

// keepOn writes so many a second, for so long: what is due is written, however long the log took for what was before.
func (c *claims) keepOn(ctx context.Context, rate float64, long time.Duration) error {
	began, before := time.Now(), c.written
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for passed := time.Duration(0); passed < long; passed = time.Since(began) {
		due := int(rate*passed.Seconds()) - (c.written - before)
		if err := c.write(ctx, due); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// granted waits until so many of a coupon are.
func (w *world) granted(coupon string, n int) {
	w.t.Helper()
	process.Eventually(w.t, func() bool {
		_, body := process.Get(w.t, w.gateways[0].Public+"/v1/coupons/"+coupon, "")
		return strings.Contains(body, fmt.Sprintf(`"granted":%d,`, n))
	}, func() string { return fmt.Sprintf("%d of %s are not granted", n, coupon) })
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
	if got.Silence < 3*time.Second { // its session lasts 6 s
		t.Errorf("nobody felt it (the longest silence: %v): it owned nothing", got.Silence)
	}
	until, _, _ := strings.Cut(stopped.Text()[woken:], `"msg":"joined the group"`)
	steps := strings.Count(until, `"msg":"stepped down`)
	if lines := strings.Count(until, "\n"); steps != 1 || lines > 1 {
		t.Errorf("it steps down with %d lines of %d:\n%s", steps, lines, until)
	}
	w.publish("Timed: an issuer stands still", figures(
		figure{"one of two issuers stopped for 30 s: no partition of it is silent for longer than", "10 s", seconds(got.Silence)},
		figure{"log lines with which the first steps down", "1", strconv.Itoa(steps)},
		figure{"differences and breaches", "0", strconv.Itoa(got.Differences + len(got.found))},
	))
}
