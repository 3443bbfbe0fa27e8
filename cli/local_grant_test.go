package cli

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
)

// Local mode's gateway knows its ledger, and the ledger's token: "do I have it?" is answered also once the coupon is retired.
func TestLocal_GrantOfARetiredCoupon(t *testing.T) {
	for name, env := range map[string][]string{
		"without tokens": nil,
		"with tokens":    {"ADMIN_TOKENS=ops=secret", "CLAIM_TOKENS=shop=secret", "READ_TOKENS=crm=another,desk=read"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			startLocal(t, dir, env)
			at, err := endpoint.Read(endpoint.Path(dir))
			if err != nil {
				t.Fatal(err)
			}
			ask := func(method, path, body string, want ...int) (status int, text string) {
				t.Helper()
				status, text = askGateway(t, at[endpoint.GatewayURL], method, path, body)
				for _, w := range want {
					if status != w {
						t.Fatalf("%s %s: %d %s", method, path, status, text)
					}
				}
				return status, text
			}
			ask("PUT", "/v1/coupons/tea", `{"limit":1}`, http.StatusCreated)
			ask("POST", "/v1/coupons/tea/claims", `{"user_id":"ada"}`, http.StatusOK)
			ask("PUT", "/v1/coupons/tea", `{"limit":1,"closes_at":"2026-01-31T15:00:00Z"}`, http.StatusOK)
			eventually(t, "the ledger tells who has it", func() bool {
				status, text := ask("GET", "/v1/coupons/tea/grant?user_id=ada", "")
				if status != http.StatusOK && status != http.StatusServiceUnavailable {
					t.Fatalf("%d %s", status, text)
				}
				return status == http.StatusOK && strings.Contains(text, `"sequence":1`)
			})
			ask("GET", "/v1/coupons/tea/grant?user_id=bob", "", http.StatusNotFound)
		})
	}
}

func askGateway(t *testing.T, gateway, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, gateway+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer secret"}, "Prefer": {"wait=20"}}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}
