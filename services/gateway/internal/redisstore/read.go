package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/internal/telemetry"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

// Question is what Read reads: a coupon in a window, and a person's entry in it ("": of nobody). Which window that is
// depends on the definitions, which only the read itself knows.
type Question struct {
	Partition int32
	CouponID  string
	UserID    string
	Window    func(definitions []fcfs.Defined) string
}

var errRestless = errors.New("read a coupon: it is defined anew all the time")

// Read reads progress, definitions, counters and the entry by one atomic call. It is made again where the definitions
// that it brings put the claim into another window than it has looked at.
func (s *Store) Read(ctx context.Context, q Question) (verdict.Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	coupon := s.known.get(q.CouponID)
	window := q.Window(coupon.list)
	for range tries {
		answer, err := s.read(ctx, q, coupon.version, window).wait()
		if err != nil {
			return verdict.Reading{}, fmt.Errorf("read a coupon: %w", err)
		}
		r, now, err := s.reading(q.CouponID, answer, coupon)
		if err != nil {
			return verdict.Reading{}, err
		}
		if r.Window = q.Window(now.list); r.Window == window {
			return r, nil
		}
		coupon, window = now, r.Window
	}
	return verdict.Reading{}, errRestless
}

// ReadAll reads many coupons in few round trips, each by one atomic call.
func (s *Store) ReadAll(ctx context.Context, qs []Question) ([]verdict.Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	known, windows, calls := make([]versioned, len(qs)), make([]string, len(qs)), make([]*call, len(qs))
	for i, q := range qs {
		known[i] = s.known.get(q.CouponID)
		windows[i] = q.Window(known[i].list)
		calls[i] = s.read(ctx, q, known[i].version, windows[i])
	}
	readings := make([]verdict.Reading, len(qs))
	for i, q := range qs {
		answer, err := calls[i].wait()
		if err != nil {
			return nil, fmt.Errorf("read coupons: %w", err)
		}
		r, now, err := s.reading(q.CouponID, answer, known[i])
		if err != nil {
			return nil, err
		}
		if r.Window = q.Window(now.list); r.Window != windows[i] {
			if r, err = s.Read(ctx, q); err != nil {
				return nil, err
			}
		}
		readings[i] = r
	}
	return readings, nil
}

func (s *Store) read(ctx context.Context, q Question, v version, window string) *call {
	keys := s.keys(q.Partition)
	return s.desk(q.Partition).start(ctx, words{
		"read", []string{keys.Coupon(q.CouponID), keys.Granted(q.CouponID, window)}, []any{string(v), redislayout.GrantedField(window), q.UserID},
	})
}

// reading understands the script's answer; coupon is what the script was told to be known.
func (s *Store) reading(couponID string, answer reply, coupon versioned) (verdict.Reading, versioned, error) {
	r, err := answer.reading()
	if err != nil {
		return verdict.Reading{}, coupon, fmt.Errorf("coupon %s: %w", telemetry.Hash(couponID), err)
	}
	if len(answer) > 5 {
		if coupon, err = s.known.learn(couponID, answer, 1, 5); err != nil {
			return verdict.Reading{}, coupon, err
		}
	} else if now, err := answer.text(1); err != nil || version(now) != coupon.version {
		return verdict.Reading{}, coupon, fmt.Errorf("coupon %s: %w: definitions that were not asked for", telemetry.Hash(couponID), errReply)
	}
	r.Definitions = coupon.list
	return r, coupon, nil
}

// reading is all of an answer but the definitions.
func (r reply) reading() (got verdict.Reading, err error) {
	if got.Progress, err = r.progress(0); err != nil {
		return got, err
	}
	if got.Total, err = r.count(2); err != nil {
		return got, err
	}
	if got.Granted, err = r.count(3); err != nil {
		return got, err
	}
	got.Entry, err = r.entry(4)
	return got, err
}

func (r reply) count(i int) (int64, error) {
	value, err := r.text(i)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: %.40q is no count", errReply, value)
	}
	return n, nil
}
