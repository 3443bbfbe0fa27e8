package strategy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/firstcome/firstcome/strategy"
)

// pipeline is where a shop would name its gateway and its ledger. It gives the answers that they give.
func pipeline() (url string, stop func()) {
	const problem = `{"type":"https://firstcome.dev/problems/sold-out","title":"Sold out","status":409,"detail":"all coupons were given out before this claim"}`
	const granted = `{"claim_id":"c1","coupon_id":"tea","status":"granted","window":"","sequence":1}`
	const notOpen = `{"type":"https://firstcome.dev/problems/not-open","title":"Not open","status":409,"detail":"it opens later"}`
	claims := []string{granted, problem, notOpen}
	mux := http.NewServeMux()
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	mux.HandleFunc("PUT /v1/coupons/tea", answer(http.StatusCreated, `{"coupon_id":"tea","limit":1,"granted":0,"remaining":1,"status":"open"}`))
	mux.HandleFunc("GET /v1/coupons/tea", answer(http.StatusOK, `{"coupon_id":"tea","limit":1,"granted":1,"remaining":0,"status":"sold_out"}`))
	mux.HandleFunc("GET /v1/grants", answer(http.StatusOK, `{"grants":[{"coupon_id":"tea","user_id":"ada","sequence":1}],"next":null}`))
	mux.HandleFunc("POST /v1/coupons/tea/claims", func(w http.ResponseWriter, _ *http.Request) {
		if claims[0] != granted {
			w.WriteHeader(http.StatusConflict)
		}
		_, _ = io.WriteString(w, claims[0])
		claims = claims[1:]
	})
	server := httptest.NewServer(mux)
	return server.URL, server.Close
}

// The pipeline of this repository, over HTTP. What is neither granted nor one of the three refusals is a Problem.
func ExampleLog() {
	ctx := context.Background()
	url, stop := pipeline()
	defer stop()

	shop := strategy.Log{GatewayURL: url, LedgerURL: url, AdminToken: "admin-secret", ClaimToken: "shop-secret", ReadToken: "desk-secret"}
	fmt.Println(shop.SetLimit(ctx, "tea", 1))
	for _, user := range []string{"ada", "bob", "eve"} {
		answer, err := shop.Claim(ctx, "tea", user)
		var problem *strategy.Problem
		switch {
		case errors.As(err, &problem):
			fmt.Println(user, "is told", problem.Name)
		default:
			fmt.Println(user, answer, err)
		}
	}
	fmt.Println(shop.Issued(ctx, "tea"))
	// Output:
	// <nil>
	// ada issued <nil>
	// bob  all coupons are gone
	// eve is told not-open
	// [ada] <nil>
}
