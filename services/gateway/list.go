package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway/internal/redisstore"
)

const (
	defaultPage = 100
	maxPage     = 1000
	listsAtOnce = 4 // one of a thousand coupons takes some 20 ms of Redis, at the desks where claims stand in line too
)

type couponsBody struct {
	Coupons []couponBody `json:"coupons"`
	Next    *string      `json:"next"` // the after of the next page
}

func readPage(r *http.Request) (limit int, after string, err error) {
	var errs []problem.FieldError
	query := r.URL.Query()
	limit, after = defaultPage, query.Get("after")
	if query.Has("limit") {
		if limit, err = strconv.Atoi(query.Get("limit")); err != nil || limit < 1 || limit > maxPage {
			errs = append(errs, problem.FieldError{Parameter: "limit", Detail: fmt.Sprintf("must be from 1 to %d", maxPage)})
		}
	}
	if query.Has("after") {
		if err := event.CheckCouponID(after); err != nil {
			errs = append(errs, problem.FieldError{Parameter: "after", Detail: err.Error()})
		}
	}
	if len(errs) > 0 {
		return 0, "", problem.InvalidFields(errs...)
	}
	return limit, after, nil
}

// listCoupons merges the coupons of all partitions, ordered by id. A page is not one moment: each coupon is.
func (s *Service) listCoupons(w http.ResponseWriter, r *http.Request) error {
	limit, after, err := readPage(r)
	if err != nil {
		return err
	}
	l, err := s.open()
	if err != nil {
		return err
	}
	select {
	case s.lists <- struct{}{}:
		defer func() { <-s.lists }()
	default:
		return unavailable("too many lists at once", nil)
	}
	heard := make([]int64, l.Count())
	for p := range heard {
		if heard[p], err = l.Heard(r.Context(), int32(p)); err != nil {
			return unavailable("the log cannot be reached", err)
		}
	}
	listings, err := s.store.Coupons(r.Context(), l.Count(), after, limit+1)
	if err != nil {
		return unavailable("coupons cannot be read right now", err)
	}
	var ids []string
	for p, listing := range listings {
		l.Hear(int32(p), listing.Progress.Offset)
		if listing.Progress.Offset < heard[p] {
			return errBehind
		}
		ids = append(ids, listing.IDs...)
	}
	slices.Sort(ids)
	body := couponsBody{Coupons: []couponBody{}}
	if len(ids) > limit {
		ids = ids[:limit]
		body.Next = &ids[limit-1]
	}
	now := fcfs.FromTime(s.now())
	questions := make([]redisstore.Question, len(ids))
	for i, id := range ids {
		questions[i] = l.ask(id, now)
	}
	readings, err := s.store.ReadAll(r.Context(), questions)
	if err != nil {
		return unavailable("coupons cannot be read right now", err)
	}
	for i, reading := range readings {
		if reading.Progress.Offset < heard[questions[i].Partition] || len(reading.Definitions) == 0 {
			return errBehind // Redis was emptied between the two reads
		}
		body.Coupons = append(body.Coupons, describe(reading, now))
	}
	return writeJSON(w, http.StatusOK, body)
}
