package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/internal/token"
)

func (s *Service) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			if err := f(w, r); err != nil {
				problem.Write(w, r, problem.From(err))
			}
		})
	}
	handle("PUT /v1/coupons/{id}", s.putCoupon)
	handle("GET /v1/coupons/{id}", s.getCoupon)
	handle("GET /v1/coupons", s.listCoupons)
	handle("POST /v1/coupons/{id}/claims", s.postClaim)
	handle("GET /v1/claims/{id}", s.getClaim)
	handle("GET /v1/coupons/{id}/grant", s.getGrant)
	handle("GET /openapi.json", s.getOpenAPI)
	handle("GET /docs", s.getDocs)
	return problem.Routes(mux)
}

// authorize gives the principal whose token is among the allowed ones; a token of the others is known but may not do this.
func (s *Service) authorize(r *http.Request, allowed, others token.Set) (principal string, err error) {
	if s.cfg.AllowAnonymous && allowed.Empty() {
		return "", nil
	}
	if principal, ok := allowed.Principal(r); ok {
		return principal, nil
	}
	if _, ok := others.Principal(r); ok {
		return "", problem.New(problem.Forbidden, "")
	}
	return "", problem.New(problem.Unauthorized, "")
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
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the person has gone: nobody is left to be told
	return nil
}
