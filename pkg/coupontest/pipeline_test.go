package coupontest_test

import (
	"io"
	"net/http"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

// built makes the command from the sources beside this module, unless one is named.
func built(t *testing.T) {
	t.Helper()
	if os.Getenv("FIRSTCOME_BIN") != "" {
		return
	}
	program := filepath.Join(t.TempDir(), "firstcome")
	cmd := osexec.Command("go", "build", "-o", program, "./cmd/firstcome")
	cmd.Dir = "../../cli"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("FIRSTCOME_BIN", program)
}

func call(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Prefer", "wait=5")
	res, err := http.DefaultClient.Do(req)
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

// awaitGrant returns when the ledger lists it, which is a moment after the person knows.
func awaitGrant(t *testing.T, r *coupontest.Running, coupon, user string) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		status, body := call(t, http.MethodGet, r.LedgerURL+"/v1/grants?coupon_id="+coupon, "")
		if status == http.StatusOK && strings.Contains(body, `"`+user+`"`) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("the ledger says %d %s", status, body)
		case <-tick.C:
		}
	}
}

func TestPipeline(t *testing.T) {
	built(t)
	first := coupontest.Pipeline(t)
	if status, body := call(t, http.MethodPut, first.GatewayURL+"/v1/coupons/spring", `{"limit":1}`); status != http.StatusCreated {
		t.Fatal(status, body)
	}
	if status, body := call(t, http.MethodPost, first.GatewayURL+"/v1/coupons/spring/claims", `{"user_id":"u1"}`); status != http.StatusOK {
		t.Fatal(status, body)
	}
	if status, body := call(t, http.MethodGet, first.GatewayAdminURL+"/readyz", ""); status != http.StatusOK {
		t.Error(status, body)
	}
	first.Kill()

	second := first.Servers.Pipeline(t)
	if status, body := call(t, http.MethodPost, second.GatewayURL+"/v1/coupons/spring/claims", `{"user_id":"u2"}`); status != http.StatusConflict || !strings.Contains(body, "sold-out") {
		t.Error(status, body)
	}
	awaitGrant(t, second, "spring", "u1")
	if err := second.Stop(); err != nil {
		t.Error(err)
	}
}

func TestPipeline_NoProgram(t *testing.T) {
	s := coupontest.Start(t)
	t.Setenv("FIRSTCOME_BIN", "")
	t.Setenv("PATH", t.TempDir())
	if said := failure(t, func(tb testing.TB) { s.Pipeline(tb) }); !strings.Contains(said, "FIRSTCOME_BIN") {
		t.Errorf("said %q", said)
	}
	t.Setenv("FIRSTCOME_BIN", "/bin/false")
	if said := failure(t, func(tb testing.TB) { s.Pipeline(tb) }); !strings.Contains(said, "ended: exit status 1") {
		t.Errorf("said %q", said)
	}
}
