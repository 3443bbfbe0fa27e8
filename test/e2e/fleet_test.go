package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/test/process"
)

// A sale is a crowd that asks through one gateway while something else happens.
type sale struct {
	*process.Load
	coupon string
	limit  int
}

// startSale defines a coupon and lets people ask for it.
func startSale(t *testing.T, env []string, gateway *process.Process, coupon string, limit, people int) *sale {
	t.Helper()
	env = append(env[:len(env):len(env)], "GATEWAY_URL="+gateway.Public)
	return &sale{process.StartLoad(t, env, "--coupon", coupon, "--limit", fmt.Sprint(limit), "--people", fmt.Sprint(people),
		"--concurrency", "200"), coupon, limit}
}

// reaches returns once so many were granted, while the crowd still asks.
func (s *sale) reaches(t *testing.T, gateway *process.Process, granted int) {
	t.Helper()
	waitGranted(t, gateway, s.coupon, granted, func() {
		select {
		case <-s.Done:
			t.Fatalf("the sale of %s is over before %d were granted:\n%s", s.coupon, granted, s.Output)
		default:
		}
	})
}

// waitGranted asks the gateway until so many of a coupon were granted.
func waitGranted(t *testing.T, gateway *process.Process, coupon string, granted int, check func()) {
	t.Helper()
	process.Eventually(t, func() bool {
		check()
		var c struct{ Granted int }
		status, body := process.Get(t, gateway.Public+"/v1/coupons/"+coupon, "")
		return status == http.StatusOK && json.Unmarshal([]byte(body), &c) == nil && c.Granted >= granted
	}, func() string { return fmt.Sprintf("%s: %d are not granted", coupon, granted) })
}

// ends waits for the crowd, which must have been served exactly.
func (s *sale) ends(t *testing.T) {
	t.Helper()
	<-s.Done
	t.Log(s.Output)
	if s.Code != 0 {
		t.Errorf("the crowd for %s was not served as promised (exit code %d)", s.coupon, s.Code)
	}
}

// Three issuers and two gateways: one issuer is killed and one added while people ask through both gateways.
func TestFleet(t *testing.T) {
	servers := coupontest.Start(t)
	env := process.Environment(servers)
	process.CreateTopics(t, env, 4)
	issuers := []*process.Process{process.Start(t, "issuer", env), process.Start(t, "issuer", env), process.Start(t, "issuer", env)}
	gateways := []*process.Process{process.Start(t, "gateway", env), process.Start(t, "gateway", env)}
	ledger := process.Start(t, "ledger", env)
	for _, p := range append(append([]*process.Process{ledger}, issuers...), gateways...) {
		p.WaitReady(t)
	}
	sales := []*sale{
		startSale(t, env, gateways[0], "tea", 300, 4000),
		startSale(t, env, gateways[1], "coffee", 300, 4000),
		startSale(t, env, gateways[1], "cake", 300, 4000),
	}
	for i, s := range sales {
		s.reaches(t, gateways[min(i, 1)], 20)
	}
	issuers[0].Kill()
	process.Start(t, "issuer", env)
	for _, s := range sales {
		s.ends(t)
	}
	process.Audit(t, env, sales[0].Load, sales[1].Load, sales[2].Load)
}

// Redis is emptied in the middle of a sale: the issuers rebuild it from the journal, and nobody's answer changes.
func TestFlush(t *testing.T) {
	servers := coupontest.StartAlone(t)
	env := process.Environment(servers)
	process.CreateTopics(t, env, 4)
	issuer, gateway, ledger := process.Start(t, "issuer", env), process.Start(t, "gateway", env), process.Start(t, "ledger", env)
	for _, p := range []*process.Process{issuer, gateway, ledger} {
		p.WaitReady(t)
	}
	s := startSale(t, env, gateway, "tea", 1000, 6000)
	s.reaches(t, gateway, 100)
	servers.FlushRedis(t)
	s.ends(t)
	process.Audit(t, env, s.Load)
	if !strings.Contains(issuer.Text(), `"why":"emptied"`) {
		t.Error("the issuer does not tell that it found Redis emptied")
	}

	// Also without traffic: progress comes back by itself, with everybody in it.
	servers.FlushRedis(t)
	waitGranted(t, gateway, s.coupon, s.limit, func() {})
	process.Audit(t, env, s.Load)
}
