package crowd

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firstcome/firstcome/cli/internal/client"
)

// slowDoor refuses everybody, after a while.
type slowDoor time.Duration

func (d slowDoor) Claim(ctx context.Context, _, _ string, _ time.Duration) (client.Answer, error) {
	err := pause(ctx, time.Duration(d))
	return client.Answer{Status: client.Refused, Outcome: "sold_out"}, err
}

func (d slowDoor) Status(context.Context, string) (client.Answer, error) {
	return client.Answer{}, errors.New("nobody has a claim")
}

// Each arrives when due, to the nanosecond of the test's clock, though nobody was answered before all were there.
func TestRun_Rate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		res := Run(t.Context(), Config{Doors: []Door{slowDoor(30 * time.Second)}, People: 1000, Rate: 100, Concurrency: 1000, GiveUp: time.Minute})
		for i, r := range res.Records {
			due := start.Add(time.Duration(i) * 10 * time.Millisecond)
			if !r.DueAt.Equal(due) || !r.AskedAt.Equal(due) || time.Duration(r.Took) != 30*time.Second || !r.AnsweredAt.Equal(due.Add(30*time.Second)) {
				t.Fatalf("%d was due %v, asked %v, was answered %v, took %v; want %v and 30s", i, r.DueAt, r.AskedAt, r.AnsweredAt, time.Duration(r.Took), due)
			}
		}
		if res.Held != 0 || res.Took != 40*time.Second-10*time.Millisecond {
			t.Errorf("%d were held back, all took %v", res.Held, res.Took)
		}
	})
}

// Where the bound is too low people wait before they can ask, and that counts as waiting; later they catch up.
func TestRun_RateHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		res := Run(t.Context(), Config{Doors: []Door{slowDoor(100 * time.Millisecond)}, People: 5, Rate: 100, Concurrency: 1, GiveUp: time.Minute})
		for i, r := range res.Records {
			want := time.Duration(i+1)*100*time.Millisecond - time.Duration(i)*10*time.Millisecond
			if time.Duration(r.Took) != want {
				t.Errorf("%d took %v, want %v", i, time.Duration(r.Took), want)
			}
		}
		if v := Judge(res, Expectation{Exact: true}); v.Held != 4 || v.Latencies[3] != 460*time.Millisecond {
			t.Errorf("%d were held back, latencies %v; want 4, and 460ms at most", v.Held, v.Latencies)
		}
	})
}

func TestRun_RateInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		res := Run(ctx, Config{Doors: []Door{slowDoor(time.Millisecond)}, People: 10, Rate: 1, Concurrency: 10, GiveUp: time.Minute})
		for i, r := range res.Records {
			if asked := i < 4; asked != (r.Outcome == "sold_out") || asked == r.AskedAt.IsZero() || r.Lost != 0 {
				t.Errorf("%d: got %+v", i, r)
			}
		}
	})
}

// mortal is a gateway that is gone after so many requests.
type mortal struct {
	Door
	lives  int64
	asked  atomic.Int64
	missed atomic.Int64
}

func (m *mortal) dead() error {
	if m.asked.Add(1) > m.lives {
		m.missed.Add(1)
		return errors.New("connection refused")
	}
	return nil
}

func (m *mortal) Claim(ctx context.Context, couponID, userID string, wait time.Duration) (client.Answer, error) {
	if err := m.dead(); err != nil {
		return client.Answer{}, err
	}
	return m.Door.Claim(ctx, couponID, userID, wait)
}

func (m *mortal) Status(ctx context.Context, claimID string) (client.Answer, error) {
	if err := m.dead(); err != nil {
		return client.Answer{}, err
	}
	return m.Door.Status(ctx, claimID)
}

// pendingDoor decides a claim only when asked about it: the first ten are granted.
type pendingDoor struct{ claims *atomic.Int64 }

func (d pendingDoor) Claim(context.Context, string, string, time.Duration) (client.Answer, error) {
	return client.Answer{ClaimID: strconv.FormatInt(d.claims.Add(1), 10), Status: client.Pending, RetryAfter: time.Second}, nil
}

func (d pendingDoor) Status(_ context.Context, claimID string) (client.Answer, error) {
	sequence, err := strconv.ParseInt(claimID, 10, 64)
	if sequence > 10 {
		return client.Answer{ClaimID: claimID, Status: client.Refused, Outcome: "sold_out"}, err
	}
	return client.Answer{ClaimID: claimID, Status: client.Granted, Sequence: sequence}, err
}

// Two gateways of one system, and the first dies between taking claims and telling what became of them: its people follow
// their claims at the second, and so does the recheck.
func TestRun_GatewayDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := pendingDoor{new(atomic.Int64)}
		first, second := &mortal{Door: system, lives: 15}, &mortal{Door: system, lives: 1e6}
		res := Run(t.Context(), Config{Doors: []Door{first, second}, People: 40, Rate: 1000, Concurrency: 40, GiveUp: time.Minute, Recheck: true})
		if v := Judge(res, Expectation{Granted: 10, Exact: true, Limit: 10, Fresh: true}); !v.OK() || v.Outcomes["sold_out"] != 30 || v.Rechecked != 40 {
			t.Errorf("got %+v", v)
		}
		if missed := first.missed.Load(); missed != 20 {
			t.Errorf("the dead gateway was asked %d times: each of its 20 people should turn away at once", missed)
		}
		for _, r := range res.Records {
			if r.PendingAt.IsZero() || !r.AnsweredAt.After(r.PendingAt) || r.ClaimID == "" || r.EarlierClaimIDs != nil {
				t.Errorf("got %+v: first told pending, then an outcome, of one claim", r)
			}
		}
	})
}

// Gone after the last answer: what its people were told is asked about at the other.
func TestRun_GatewayDiesBeforeRecheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := pendingDoor{new(atomic.Int64)}
		first, second := &mortal{Door: system, lives: 4}, &mortal{Door: system, lives: 1e6}
		res := Run(t.Context(), Config{Doors: []Door{first, second}, People: 4, Rate: 1, Concurrency: 4, GiveUp: time.Minute, Recheck: true})
		for _, r := range res.Records {
			if r.Outcome != "granted" || r.Requests != 2 || r.Error != "" {
				t.Errorf("got %+v", r)
			}
		}
		if res.Rechecked != 4 || first.missed.Load() != 2 {
			t.Errorf("%d were asked about again, %d at the dead gateway", res.Rechecked, first.missed.Load())
		}
	})
}

// All gateways gone for longer than anyone waits: nobody is called answered.
func TestRun_AllGatewaysDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &mortal{}
		res := Run(t.Context(), Config{Doors: []Door{dead, dead}, People: 3, Concurrency: 3, GiveUp: time.Minute, Recheck: true})
		v := Judge(res, Expectation{})
		if v.OK() || v.Unanswered != 3 || res.Records[0].Lost < 60 || time.Duration(res.Records[0].Took) != time.Minute || !res.Records[0].AnsweredAt.IsZero() {
			t.Errorf("got %+v, %+v", v, res.Records[0])
		}
	})
}
