package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/test/process"
)

var services = []string{"issuer", "gateway", "ledger"}

// What a service lacks it says all at once.
func TestServices_BadConfiguration(t *testing.T) {
	for service, wants := range map[string][]string{
		"gateway": {"KAFKA_BROKERS", "REDIS_ADDR", "ADMIN_TOKENS", "CLAIM_TOKENS", "CLAIM_ID_KEYS", "KAFKA_SASL_MECHANISM"},
		"issuer":  {"KAFKA_BROKERS", "REDIS_ADDR", "KAFKA_SASL_MECHANISM"},
		"ledger":  {"KAFKA_BROKERS", "DATABASE_URL", "READ_TOKENS", "KAFKA_SASL_MECHANISM"},
	} {
		t.Run(service, func(t *testing.T) {
			p := process.Launch(t, service, []string{"KAFKA_SASL_MECHANISM=KERBEROS"})
			<-p.Exited()
			if p.ExitCode() != 1 {
				t.Errorf("exit code %d, want 1", p.ExitCode())
			}
			if lines := strings.Count(strings.TrimSpace(p.Text()), "\n"); lines != 0 {
				t.Errorf("%d lines, want one message:\n%s", lines+1, p.Text())
			}
			for _, want := range wants {
				if !strings.Contains(p.Text(), want) {
					t.Errorf("%s is not named in:\n%s", want, p.Text())
				}
			}
		})
	}
}

// Services may be started before there is anything to talk to: they say what they wait for, and then get on.
func TestServices_AnyOrder(t *testing.T) {
	servers := coupontest.Start(t)
	env := process.Environment(servers)
	const person = "person-with-a-long-name" // a shorter one may stand in a correlation id by chance
	running := map[string]*process.Process{}
	for _, name := range services {
		p := process.Start(t, name, env)
		running[name] = p
		if status, _ := process.Get(t, p.Admin+"/livez", ""); status != http.StatusOK {
			t.Errorf("%s: /livez says %d", name, status)
		}
		process.Eventually(t, func() bool {
			status, body := process.Get(t, p.Admin+"/readyz", "")
			return status == http.StatusServiceUnavailable && strings.Contains(body, servers.TopicPrefix+"coupon.")
		}, func() string { return name + " does not say that it waits for the topics" })
	}
	if status, body := claim(t, running["gateway"], "tea", person, ""); status != http.StatusServiceUnavailable {
		t.Errorf("a claim before the topics exist is answered %d %s", status, body)
	}
	process.CreateTopics(t, env, 4)
	for _, p := range running {
		p.WaitReady(t)
	}
	put(t, running["gateway"], "tea", `{"limit":1}`, http.StatusCreated)
	if status, body := claim(t, running["gateway"], "tea", person, "wait=10"); status != http.StatusOK {
		t.Errorf("claim: %d %s", status, body)
	}
	for name, p := range running {
		if _, body := process.Get(t, p.Admin+"/metrics", ""); !strings.Contains(body, "coupon_"+name+"_") {
			t.Errorf("%s: no metrics of its own in:\n%s", name, process.Tail(body, 500))
		}
		p.Term(t)
		for line := range strings.Lines(p.Text()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s logs a line that is no JSON: %s", name, line)
			}
		}
		if strings.Contains(p.Text(), person) {
			t.Errorf("%s logs a user id:\n%s", name, p.Text())
		}
	}
}

// A gateway that stops answers those who wait: their claim is in the log, so they get its id.
func TestServices_StopWithClaimsInFlight(t *testing.T) {
	servers := coupontest.Start(t)
	env := process.Environment(servers)
	process.CreateTopics(t, env, 4)
	gateway, issuer := process.Start(t, "gateway", env), process.Start(t, "issuer", env)
	gateway.WaitReady(t)
	put(t, gateway, "tea", `{"limit":10}`, http.StatusCreated)
	issuer.Term(t) // from here on nobody decides

	const people = 50
	type answer struct {
		status int
		body   string
	}
	answers := make(chan answer, people)
	var sent sync.WaitGroup
	for i := range people {
		sent.Go(func() {
			status, body := claim(t, gateway, "tea", fmt.Sprintf("u%d", i), "wait=30")
			answers <- answer{status, body}
		})
	}
	process.Eventually(t, func() bool { return gateway.Metric(t, "coupon_gateway_waiters") == people },
		func() string { return "the claims are not waiting" })
	gateway.Term(t)
	sent.Wait()
	close(answers)
	for a := range answers {
		if a.status != http.StatusAccepted || !strings.Contains(a.body, `"claim_id"`) {
			t.Errorf("a claim in flight is answered %d %s, want 202 with its id", a.status, a.body)
		}
	}
}

func put(t *testing.T, gateway *process.Process, id, body string, want int) {
	t.Helper()
	if status, got := gateway.Put(t, id, body); status != want {
		t.Fatalf("PUT %s: %d %s, want %d", id, status, got, want)
	}
}

func claim(t *testing.T, gateway *process.Process, id, user, prefer string) (int, string) {
	body, err := json.Marshal(map[string]string{"user_id": user})
	if err != nil {
		t.Error(err)
	}
	req, err := http.NewRequest(http.MethodPost, gateway.Public+"/v1/coupons/"+id+"/claims", strings.NewReader(string(body)))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	req.Header.Set("Content-Type", "application/json")
	if prefer != "" {
		req.Header.Set("Prefer", prefer)
	}
	return process.Do(t, req, process.ClaimSecret)
}
