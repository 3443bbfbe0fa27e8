package crowd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firstcome/firstcome/cli/internal/client"
)

// door gives out coupons in the order of asking; every third request never arrives, every fifth answer is lost.
type door struct {
	mu       sync.Mutex
	limit    int64
	requests int
	issued   map[string]int64
	claims   map[string]client.Answer
}

func (d *door) Claim(_ context.Context, couponID, userID string, _ time.Duration) (client.Answer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests++
	if d.requests%3 == 0 {
		return client.Answer{}, &client.Problem{Name: "unavailable", Status: 503}
	}
	a := d.decide(userID)
	if d.requests%5 == 0 {
		return client.Answer{}, errors.New("connection reset")
	}
	if d.requests%7 == 0 && a.ClaimID != "" {
		return client.Answer{ClaimID: a.ClaimID, Status: client.Pending}, nil
	}
	return a, nil
}

func (d *door) decide(userID string) client.Answer {
	a := client.Answer{ClaimID: fmt.Sprintf("claim-%d", d.requests), Status: client.Refused, Outcome: "sold_out"}
	if sequence, ok := d.issued[userID]; ok {
		return client.Answer{Status: client.Refused, Outcome: "already_issued", Sequence: sequence}
	}
	if next := int64(len(d.issued)) + 1; next <= d.limit {
		d.issued[userID] = next
		a = client.Answer{ClaimID: a.ClaimID, Status: client.Granted, Sequence: next}
	}
	d.claims[a.ClaimID] = a
	return a
}

func (d *door) Status(_ context.Context, claimID string) (client.Answer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.claims[claimID], nil
}

func newDoor(limit int64) *door {
	return &door{limit: limit, issued: make(map[string]int64), claims: make(map[string]client.Answer)}
}

func TestRun(t *testing.T) { synctest.Test(t, testRun) }

func testRun(t *testing.T) {
	var done sync.Map
	var n int
	var mu sync.Mutex
	res := Run(t.Context(), Config{Doors: []Door{newDoor(30)}, CouponID: "tea", UserPrefix: "p", People: 500, Concurrency: 50, GiveUp: time.Minute, Recheck: true,
		Done: func() { mu.Lock(); n++; mu.Unlock() }})
	v := Judge(res, Expectation{Granted: 30, Exact: true, Limit: 30, Fresh: true})
	if !v.OK() || v.Granted != 30 || v.Outcomes["sold_out"] != 470 || v.Unanswered != 0 || n != 500 {
		t.Errorf("got %+v, %d done", v, n)
	}
	if v.Rechecked == 0 || v.Retried == 0 {
		t.Errorf("got %+v: the door lets no one through at once", v)
	}
	for _, r := range res.Records {
		if _, twice := done.LoadOrStore(r.UserID, true); twice {
			t.Errorf("%s asked as two people", r.UserID)
		}
		if r.AskedAt.IsZero() || r.AnsweredAt.Sub(r.AskedAt) != time.Duration(r.Took) || !r.DueAt.IsZero() {
			t.Errorf("%s was due %v, asked %v, was answered %v, took %v", r.UserID, r.DueAt, r.AskedAt, r.AnsweredAt, time.Duration(r.Took))
		}
	}
}

func TestRun_RecheckIsNobodysRetry(t *testing.T) {
	d := newDoor(2)
	d.requests = 7 // the next ones are answered at once
	res := Run(t.Context(), Config{Doors: []Door{d}, CouponID: "tea", People: 1, Concurrency: 1, GiveUp: time.Minute, Recheck: true})
	if v := Judge(res, Expectation{Granted: 1, Exact: true, Limit: 2, Fresh: true}); !v.OK() || v.Retried != 0 || v.Rechecked != 1 {
		t.Errorf("got %+v, want one who asked once", v)
	}
}

// sullenDoor grants, and when it is asked about that again it says no so many times.
type sullenDoor struct {
	*door
	no    error
	times int
}

func (d *sullenDoor) Status(ctx context.Context, claimID string) (client.Answer, error) {
	if d.times--; d.times >= 0 {
		return client.Answer{}, d.no
	}
	return d.door.Status(ctx, claimID)
}

// What a gateway would not say at once is asked for again, and what it never says is not passed over.
func TestRun_RecheckIsPatient(t *testing.T) {
	busy := &client.Problem{Name: "unavailable", Status: 503, RetryAfter: time.Second}
	for _, c := range []struct {
		name      string
		no        error
		times     int
		rechecked int
		say       string // "" = all is well
	}{
		{"busy for a while", busy, 3, 1, ""},
		{"asked too often for a while", &client.Problem{Status: 429, RetryAfter: time.Second}, 3, 1, ""},
		{"away for a while", lost.err, 3, 1, ""},
		{"busy for ever", busy, 1000, 0, "1 claims could not be asked about again (000001: asked again about the claim: unavailable"},
		{"unknown", &client.Problem{Name: "unknown-claim", Status: 404}, 1, 0, "1 claims could not be asked about again (000001: asked again about the claim: unknown-claim"},
		{"retired", &client.Problem{Name: "retired", Status: 410}, 1, 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &sullenDoor{newDoor(2), c.no, c.times}
				res := Run(t.Context(), Config{Doors: []Door{d}, CouponID: "tea", People: 1, Concurrency: 1, GiveUp: time.Minute, Recheck: true})
				v := Judge(res, Expectation{Granted: 1, Exact: true, Limit: 2, Fresh: true})
				if v.Rechecked != c.rechecked || v.Retried != 0 || v.OK() != (c.say == "") || !strings.Contains(strings.Join(v.Problems, "; "), c.say) {
					t.Errorf("got %+v, want %q", v, c.say)
				}
				if r := res.Records[0]; r.Outcome != "granted" || r.Requests != 1 || r.Lost != 0 {
					t.Errorf("the person's story is %+v", r)
				}
			})
		})
	}
}

// closedDoor never answers.
type closedDoor struct{ asked chan struct{} }

func (d closedDoor) Claim(ctx context.Context, _, _ string, _ time.Duration) (client.Answer, error) {
	d.asked <- struct{}{}
	<-ctx.Done()
	return client.Answer{}, ctx.Err()
}

func (d closedDoor) Status(ctx context.Context, _ string) (client.Answer, error) {
	return client.Answer{}, ctx.Err()
}

func TestRun_Interrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := closedDoor{asked: make(chan struct{}, 10)}
	go func() {
		<-d.asked
		cancel()
	}()
	v := Judge(Run(ctx, Config{Doors: []Door{d}, People: 5, Concurrency: 5, GiveUp: time.Hour}), Expectation{Granted: 1, Exact: true, Limit: 1})
	if v.OK() || v.Unanswered != 5 {
		t.Errorf("got %+v, want five unanswered", v)
	}
}

func people(records ...Record) Result { return Result{Records: records, Took: time.Second} }

func told(user string, sequence int64) Record {
	return Record{UserID: user, Outcome: "granted", Sequence: sequence, Requests: 1}
}

func TestJudge(t *testing.T) {
	two := Expectation{Granted: 2, Exact: true, Limit: 2, Fresh: true}
	for _, c := range []struct {
		name string
		res  Result
		want Expectation
		say  string // "" = all is well
	}{
		{"as promised", people(told("a", 1), told("b", 2), Record{UserID: "c", Outcome: "sold_out"}), two, ""},
		{"one too many", people(told("a", 1), told("b", 2), told("c", 3)), two, "3 were granted, and it should be exactly 2"},
		{"one too few", people(told("a", 1), Record{UserID: "b", Outcome: "sold_out"}), two, "1 were granted"},
		{"fewer where nobody can say", people(told("a", 1)), Expectation{Granted: 2, Limit: 2}, ""},
		{"more than possible", people(told("a", 1), told("b", 2)), Expectation{Granted: 1, Limit: 2}, "at most 1 could be"},
		{"no answer", people(told("a", 1), told("b", 2), Record{UserID: "c", Error: "refused"}), two, "1 got no answer (c: refused)"},
		{"one place twice", people(told("a", 1), told("b", 1)), two, "a and b were both told sequence 1"},
		{"a hole", people(told("a", 1), told("b", 3)), Expectation{Granted: 2, Exact: true, Limit: 9, Fresh: true}, "b was told sequence 3, and only 2 were granted"},
		{"beyond the limit", people(told("a", 1), told("b", 9)), Expectation{Granted: 2, Exact: true, Limit: 2}, "b was told sequence 9, and the limit is 2"},
		{"contradicted", people(told("a", 1), Record{UserID: "b", Outcome: "granted", Sequence: 2, Broken: []string{"was told this, then that"}}), two, "b was told this, then that"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(c.res, c.want)
			if got := strings.Join(v.Problems, "; "); (c.say == "") != v.OK() || !strings.Contains(got, c.say) {
				t.Errorf("got %q, want %q", got, c.say)
			}
		})
	}
}

func TestVerdict_Write(t *testing.T) {
	v := Verdict{People: 20000, Granted: 1000, Unanswered: 1, Outcomes: map[string]int{"granted": 1000, "sold_out": 18998, "closed": 1}, Took: 4200 * time.Millisecond, PerSecond: 4761.7,
		Latencies: [4]time.Duration{12 * time.Millisecond, 30 * time.Millisecond, 210 * time.Millisecond, 1234 * time.Millisecond}, Retried: 12, Held: 7, Problems: []string{"1 got no answer"}}
	var out strings.Builder
	v.Write(&out)
	want := `20,000 people in 4.2s: 4,761 claims/s

  granted             1,000
  sold_out           18,998
  closed                  1
  unanswered              1

  latency         p50 12ms      p90 30ms      p99 210ms     max 1.23s
  12 needed more than one request
  7 could not ask when they arrived: as many as --concurrency allows were asking
  WRONG: 1 got no answer
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := Grouped(n); got != want {
			t.Errorf("Grouped(%d) = %s, want %s", n, got, want)
		}
	}
}
