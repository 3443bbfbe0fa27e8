package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

// A sale is a crowd that asks through one gateway while something else happens.
type sale struct {
	coupon        string
	limit, people int
	answers       string // file of what each person was told
	done          chan struct{}
	output        string
	code          int
}

// startSale defines a coupon and lets people ask for it.
func startSale(t *testing.T, env []string, gateway *process, coupon string, limit, people int) *sale {
	t.Helper()
	s := &sale{coupon: coupon, limit: limit, people: people, done: make(chan struct{}), answers: filepath.Join(t.TempDir(), coupon+".ndjson")}
	env = append(env[:len(env):len(env)], "GATEWAY_URL="+gateway.public)
	go func() {
		defer close(s.done)
		s.output, s.code = firstcome(t, env, "load", "--coupon", coupon, "--limit", fmt.Sprint(limit), "--people", fmt.Sprint(people),
			"--concurrency", "200", "--record", s.answers)
	}()
	return s
}

// reaches returns once so many were granted, while the crowd still asks.
func (s *sale) reaches(t *testing.T, gateway *process, granted int) {
	t.Helper()
	waitGranted(t, gateway, s.coupon, granted, func() {
		select {
		case <-s.done:
			t.Fatalf("the sale of %s is over before %d were granted:\n%s", s.coupon, granted, s.output)
		default:
		}
	})
}

// waitGranted asks the gateway until so many of a coupon were granted.
func waitGranted(t *testing.T, gateway *process, coupon string, granted int, check func()) {
	t.Helper()
	eventually(t, func() bool {
		check()
		var c struct{ Granted int }
		status, body := get(t, gateway.public+"/v1/coupons/"+coupon, "")
		return status == http.StatusOK && json.Unmarshal([]byte(body), &c) == nil && c.Granted >= granted
	}, func() string { return fmt.Sprintf("%s: %d are not granted", coupon, granted) })
}

// ends waits for the crowd, which must have been served exactly.
func (s *sale) ends(t *testing.T) {
	t.Helper()
	<-s.done
	t.Log(s.output)
	if s.code != 0 {
		t.Errorf("the crowd for %s was not served as promised (exit code %d)", s.coupon, s.code)
	}
}

// audit recomputes everything, and compares it with what the people of the sales were told.
func audit(t *testing.T, env []string, sales ...*sale) {
	t.Helper()
	args := []string{"audit"}
	for _, s := range sales {
		args = append(args, "--answers", s.answers)
	}
	out, code := firstcome(t, env, args...)
	t.Log(out)
	if code != 0 {
		t.Errorf("audit exits with %d", code)
	}
}

// Three issuers and two gateways: one issuer is killed and one added while people ask through both gateways.
func TestFleet(t *testing.T) {
	servers := coupontest.Start(t)
	env := environment(servers)
	createTopics(t, servers, env)
	issuers := []*process{start(t, "issuer", env), start(t, "issuer", env), start(t, "issuer", env)}
	gateways := []*process{start(t, "gateway", env), start(t, "gateway", env)}
	ledger := start(t, "ledger", env)
	for _, p := range append(append([]*process{ledger}, issuers...), gateways...) {
		p.waitReady(t)
	}
	sales := []*sale{
		startSale(t, env, gateways[0], "tea", 300, 4000),
		startSale(t, env, gateways[1], "coffee", 300, 4000),
		startSale(t, env, gateways[1], "cake", 300, 4000),
	}
	for i, s := range sales {
		s.reaches(t, gateways[min(i, 1)], 20)
	}
	issuers[0].kill()
	start(t, "issuer", env)
	for _, s := range sales {
		s.ends(t)
	}
	audit(t, env, sales...)
}

// Redis is emptied in the middle of a sale: the issuers rebuild it from the journal, and nobody's answer changes.
func TestFlush(t *testing.T) {
	servers := coupontest.StartAlone(t)
	env := environment(servers)
	createTopics(t, servers, env)
	issuer, gateway, ledger := start(t, "issuer", env), start(t, "gateway", env), start(t, "ledger", env)
	for _, p := range []*process{issuer, gateway, ledger} {
		p.waitReady(t)
	}
	s := startSale(t, env, gateway, "tea", 1000, 6000)
	s.reaches(t, gateway, 100)
	servers.FlushRedis(t)
	s.ends(t)
	audit(t, env, s)
	if !strings.Contains(issuer.text(), `"why":"emptied"`) {
		t.Error("the issuer does not tell that it found Redis emptied")
	}

	// Also without traffic: progress comes back by itself, with everybody in it.
	servers.FlushRedis(t)
	waitGranted(t, gateway, s.coupon, s.limit, func() {})
	audit(t, env, s)
}
