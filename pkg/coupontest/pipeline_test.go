package coupontest_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/consumer/consumertest"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// built makes the command from the sources beside this module, unless one is named.
func built(t testing.TB) {
	t.Helper()
	if os.Getenv("FIRSTCOME_BIN") != "" {
		return
	}
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FIRSTCOME_BIN", program)
}

var build = sync.OnceValues(func() (string, error) {
	cmd := osexec.Command("go", "build", "-o", filepath.Join(programs, "firstcome"), "./cmd/firstcome")
	cmd.Dir = "../../cli"
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return filepath.Join(programs, "firstcome"), nil
})

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
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

// awaitSaid returns when that is said at url: the ledger lists a grant a moment after the person knows, and a service whose
// broker was slow is not ready for a moment.
func awaitSaid(t *testing.T, url, want string) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		status, body := get(t, url)
		if status == http.StatusOK && strings.Contains(body, want) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s says %d %s", url, status, body)
		case <-tick.C:
		}
	}
}

func TestPipeline(t *testing.T) {
	built(t)
	first := coupontest.Pipeline(t)
	first.Define(t, coupontest.Coupon("spring", 1))
	if outcomes := first.Claim(t, "spring", "u1", "u1"); !slices.Equal(outcomes, []string{"granted", "duplicate_request"}) {
		t.Errorf("outcomes %q", outcomes)
	}
	awaitSaid(t, first.GatewayAdminURL+"/readyz", "")
	first.Kill()

	second := first.Servers.Pipeline(t)
	if outcomes := second.Claim(t, "spring", "u2"); !slices.Equal(outcomes, []string{"sold_out"}) {
		t.Errorf("outcomes %q", outcomes)
	}
	awaitSaid(t, second.LedgerURL+"/v1/grants?coupon_id=spring", `"u1"`)
	if err := second.Stop(); err != nil {
		t.Error(err)
	}
}

// Restart is a crash of the same Firstcome: addresses, and the key of claim ids in its folder, are as before.
func TestPipeline_Restart(t *testing.T) {
	built(t)
	p := coupontest.Pipeline(t)
	p.Define(t, coupontest.Coupon("spring", 1))
	res, err := http.Post(p.GatewayURL+"/v1/coupons/spring/claims", "application/json", strings.NewReader(`{"user_id":"u1"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	claim := res.Header.Get("Location")
	if res.StatusCode != http.StatusAccepted || claim == "" {
		t.Fatalf("claimed with status %d, to be asked for at %q", res.StatusCode, claim)
	}
	before := p.PID()
	p.Restart(t)
	if p.PID() == before {
		t.Error("it is the same process")
	}
	awaitSaid(t, p.GatewayURL+claim, `"granted"`)
	awaitSaid(t, p.GatewayAdminURL+"/readyz", "")
	awaitSaid(t, p.LedgerURL+"/v1/grants?coupon_id=spring", `"u1"`)
	if outcomes := p.Claim(t, "spring", "u2"); !slices.Equal(outcomes, []string{"sold_out"}) {
		t.Errorf("outcomes %q", outcomes)
	}
}

// A port that is a client's for a moment is waited for.
func TestPipeline_RestartAtATakenPort(t *testing.T) {
	built(t)
	p := coupontest.Pipeline(t)
	p.Kill()
	taken, err := net.Listen("tcp", strings.TrimPrefix(p.GatewayURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer taken.Close()
		for look := time.NewTicker(5 * time.Millisecond); !strings.Contains(p.Said(), "address already in use"); {
			select {
			case <-look.C:
			case <-t.Context().Done():
				return
			}
		}
	}()
	p.Restart(t)
	awaitSaid(t, p.GatewayAdminURL+"/readyz", "")
}

// What is asked in the log is decided by the time that the grants are read, and two coupons' don't mix.
func TestPipeline_Grants(t *testing.T) {
	built(t)
	p := coupontest.Pipeline(t)
	requests, err := producer.New(producer.Config{Client: p.Kafka(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer requests.Close(t.Context())
	tea, cake := coupontest.Claims("tea", 500), coupontest.Claims("cake", 50)
	p.Define(t, coupontest.Coupon("cake", 50))
	definition, err := coupontest.Coupon("tea", 100).Message(event.Meta{Source: "/test"})
	if err != nil {
		t.Fatal(err)
	}
	messages := []event.Message{definition}
	for _, claim := range append(tea, cake...) {
		m, err := claim.Message(event.Meta{Source: "/test"})
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
	for _, m := range messages {
		if err := requests.Send(t.Context(), m, func(_ producer.Ack, err error) {
			if err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := requests.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for coupon, want := range map[string]int{"tea": 100, "cake": 50, "pie": 0} {
		grants, log := p.Grants(t, coupon), p.Requests(t, coupon)
		coupontest.RequireExactly(t, grants, coupon, want)
		coupontest.RequireLogOrder(t, grants, coupon, log)
	}
	coupontest.RequireGranted(t, p.Grants(t, "tea"), "person-001", "person-100")
	if n := len(p.Requests(t, "tea")); n != 501 {
		t.Errorf("%d requests", n)
	}
}

func TestPipeline_Define(t *testing.T) {
	built(t)
	p := coupontest.Pipeline(t)
	later := coupontest.Coupon("tomorrow", 5)
	later.OpensAt, later.ClosesAt = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
	p.Define(t, later)
	past := coupontest.Coupon("yesterday", 5)
	past.ClosesAt = time.Now().Add(-time.Minute)
	p.Define(t, past)
	none := coupontest.Coupon("none", 1)
	p.Define(t, none)
	p.Define(t, none) // as it is
	for coupon, want := range map[string][]string{
		"tomorrow": {"not_open"}, "yesterday": {"closed"}, "none": {"granted", "sold_out"}, "never": {"unknown_coupon"},
	} {
		users := []string{"ada", "bob"}[:len(want)]
		if outcomes := p.Claim(t, coupon, users...); !slices.Equal(outcomes, want) {
			t.Errorf("%s: %q, want %q", coupon, outcomes, want)
		}
	}
	none.Window = event.WindowDaily
	for _, c := range []struct {
		run  func(testing.TB)
		want string
	}{
		{func(tb testing.TB) { p.Define(tb, none) }, "coupontest: define none: PUT /v1/coupons/none: 409 "},
		{func(tb testing.TB) { p.Define(tb, coupontest.Coupon("tea", 0)) }, "coupontest: define tea: PUT /v1/coupons/tea: 422 "},
		{func(tb testing.TB) { p.Claim(tb, "none", "") }, "coupontest: claim none for : POST /v1/coupons/none/claims: 422 "},
	} {
		if said := failure(t, c.run); !strings.HasPrefix(said, c.want) {
			t.Errorf("said %q, want %q", said, c.want)
		}
	}
}

func TestPipeline_Ended(t *testing.T) {
	s := coupontest.Start(t)
	t.Setenv("FIRSTCOME_BIN", "/bin/false")
	if said := failure(t, func(tb testing.TB) { s.Pipeline(tb) }); !strings.Contains(said, "ended: exit status 1") {
		t.Errorf("said %q", said)
	}
}

// A former owner's late batch stands in the journal twice, and among the grants once.
func TestGrants_WithoutDuplicates(t *testing.T) {
	s := coupontest.Start(t, coupontest.Kafka)
	s.CreateTopics(t, 1)
	journal, err := producer.New(producer.Config{Client: s.Kafka(t), Topic: s.TopicPrefix + event.TopicGrants})
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close(t.Context())
	var log consumertest.Log
	log.Define("tea", 2)
	log.Grant("tea", "ada")
	log.Grant("cake", "ada")
	log.Repeat(2)
	log.Grant("tea", "bob")
	written, err := log.Fetch(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range written.Records {
		if _, err := journal.PublishTo(t.Context(), 0, event.Message{Key: r.Key, Value: r.Value, Headers: r.Headers, Time: r.Time}); err != nil {
			t.Fatal(err)
		}
	}
	if len(written.Records) != 6 {
		t.Fatalf("wrote %d records", len(written.Records))
	}
	grants := s.Grants(t, "tea")
	coupontest.RequireExactly(t, grants, "tea", 2)
	if len(grants) != 2 {
		t.Errorf("another coupon's are among %v", grants)
	}
}

// A Firstcome that crashes fails the test, whatever the test looks at.
func TestPipeline_EndsByItself(t *testing.T) {
	built(t)
	s := coupontest.Start(t)
	var cleaned complaints
	t.Run("crash", func(t *testing.T) {
		cleaned.TB = t
		s.Pipeline(&cleaned).Crash()
	})
	if !slices.Contains(cleaned.said, "coupontest: firstcome ended by itself: signal: killed") {
		t.Errorf("said %q", cleaned.said)
	}
}

// complaints are the errors of a test that goes on.
type complaints struct {
	testing.TB
	said []string
}

func (c *complaints) Errorf(format string, args ...any) {
	c.said = append(c.said, fmt.Sprintf(format, args...))
}

// What a shell says of other servers, and of tokens, is not meant for the pipeline.
func TestPipeline_InADevelopersShell(t *testing.T) {
	built(t)
	for _, setting := range []string{"KAFKA_TLS=true", "KAFKA_SASL_MECHANISM=PLAIN", "REDIS_MODE=cluster", "ADMIN_TOKENS=root=secret", "CLAIM_TOKENS=shop=secret"} {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	p := coupontest.Pipeline(t)
	p.Define(t, coupontest.Coupon("tea", 1))
}
