package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/firstcome/firstcome/internal/problem"
)

func (s *Service) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, f handler, who ...gate) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			err := s.mayAsk(w, r, who)
			if err == nil {
				err = f(w, r)
			}
			if err != nil {
				problem.Write(w, r, problem.From(err))
			}
		})
	}
	handle("PUT /v1/coupons/{id}", s.putCoupon, s.admins)
	handle("GET /v1/coupons/{id}", s.getCoupon)
	handle("GET /v1/coupons", s.listCoupons)
	handle("POST /v1/coupons/{id}/claims", s.postClaim, s.claimers)
	handle("GET /v1/claims/{id}", s.getClaim)
	handle("GET /v1/coupons/{id}/grant", s.getGrant, s.claimers)
	handle("GET /openapi.json", s.getOpenAPI)
	handle("GET /docs", s.getDocs)
	handle("GET /v1/stream", s.streamCoupons, s.admins)
	return problem.Routes(mux)
}

// open gives the way to the log, or what the person has to wait for.
func (s *Service) open() (*requestsLog, error) {
	if l := s.requests.Load(); l != nil {
		return l, nil
	}
	return nil, unavailable("the gateway is starting", nil)
}

func writeJSON(w http.ResponseWriter, status int, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the person has gone: nobody is left to be told
	return nil
}
