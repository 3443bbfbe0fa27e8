package strategytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/strategy"
)

const serveOn = "STRATEGYTEST_SERVE_ON"

func TestMain(m *testing.M) {
	addr := os.Getenv(serveOn)
	if addr == "" {
		os.Exit(m.Run())
	}
	client := redis.NewClient(&redis.Options{Addr: addr})
	if err := Serve(context.Background(), careless{strategy.Script{Redis: client}}, NewGate(client), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// careless has a bug of each kind that people write: it looks first and acts later, and does not look who asks.
type careless struct{ strategy.Script }

func (c careless) Claim(ctx context.Context, couponID, userID string) (strategy.Answer, error) {
	left, err := c.Remaining(ctx, couponID)
	switch {
	case err != nil:
		return "", err
	case left == 0:
		return "", strategy.ErrExhausted
	}
	return strategy.Issued, c.Redis.SAdd(ctx, "coupon:"+couponID+":issued", userID).Err()
}

// An attack finds what is wrong, and goes on with the next one where it could not be made.
func TestAttack(t *testing.T) {
	server := miniredis.RunT(t)
	connect := func(t T) *redis.Client {
		client := redis.NewClient(&redis.Options{Addr: server.Addr()})
		t.Cleanup(func() { client.Close() })
		return client
	}
	s := OnRedis("script", connect, func(T) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), serveOn+"="+server.Addr())
		return cmd
	}, func(T) { server.FlushAll() })
	s.New = func(t T) strategy.Strategy { return careless{strategy.Script{Redis: connect(t)}} }
	s.Ordered = func(t T, _ int64, _ []string) strategy.Sale {
		t.Fatalf("nobody came")
		return strategy.Sale{}
	}
	var steps []string
	own := &attacker{TB: t}
	all := Attack(own, s, func(name string) { steps = append(steps, name) })
	if want := []string{"crowd", "order", "redis lost", "script unknown"}; !slices.Equal(steps, want) {
		t.Errorf("the attacks were %q, want %q", steps, want)
	}
	if len(all) != 3 || all[0].Name != "crowd" || all[0].Faults[strategy.Duplicate] == 0 || all[1].Name != "redis lost" || all[1].Faults[strategy.Forgotten] != 2 {
		t.Errorf("seen: %v", all)
	}
	for _, want := range []string{"times duplicate, and the page of script does not say so", "nobody came"} {
		if !strings.Contains(own.errors(), want) {
			t.Errorf("the errors are\n%s\nwant among them: %s", own.errors(), want)
		}
	}
	await(t, "the end of all clients and servers", func() bool { return server.CurrentConnectionCount() == 0 })
	if keys := server.Keys(); len(keys) > 0 {
		t.Errorf("%q are left", keys)
	}
}

// What cannot be seen is an error, and not a strategy without that fault.
func TestAttack_Incomplete(t *testing.T) {
	for want, page := range map[string]strategy.Page{
		"promises the order of arrival, and nobody looks": {Name: "mine"},
		"says forgotten, and there is no Redis to lose":   {Name: "mine", Fails: []strategy.Fault{strategy.Inversion, strategy.Forgotten}},
		"says inversion, and nothing shows it":            {Name: "mine", Fails: []strategy.Fault{strategy.Inversion}},
		"lost is shown, and the page of mine does not":    {Name: "mine"},
	} {
		own := &attacker{TB: t}
		Subject{Page: page, Shown: map[strategy.Fault]func(T) strategy.Sale{strategy.Lost: nil}}.complete(own)
		if !strings.Contains(own.errors(), want) {
			t.Errorf("%v: %s, want: %s", page, own.errors(), want)
		}
	}
}

// Whatever goes wrong at a claim that nobody is in the way of is told, and not tried again.
func TestContract_FailsNowAndThen(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	defer client.Close()
	own, shop := &attacker{TB: t}, &failing{Strategy: strategy.Script{Redis: client}}
	firstCome(own, Subject{New: func(T) strategy.Strategy { return shop }})
	if !strings.Contains(own.errors(), "ada is told something went wrong") {
		t.Errorf("the errors are\n%s", own.errors())
	}
}

// failing fails every second time.
type failing struct {
	strategy.Strategy
	claims int
}

func (f *failing) Claim(ctx context.Context, couponID, userID string) (strategy.Answer, error) {
	if f.claims++; f.claims%2 == 0 {
		return "", errors.New("something went wrong")
	}
	return f.Strategy.Claim(ctx, couponID, userID)
}

// A pipeline refuses the first one at its door. It has given out all of them in the end, and was in no other way wrong.
func TestOnLog_RefusesTheFirst(t *testing.T) {
	p := &pipeline{limit: 20}
	server := httptest.NewServer(p)
	defer server.Close()
	shop := strategy.Log{GatewayURL: server.URL, LedgerURL: server.URL}
	s := OnLog(shop, nil, func(T, string) []string { return p.claims() }, nil, nil, nil)
	if faults := order(t, s); !maps.Equal(faults, map[strategy.Fault]int{strategy.Inversion: 1}) {
		t.Errorf("seen: %v", faults)
	}
}

type pipeline struct {
	limit   int
	mu      sync.Mutex
	refused bool // the first one
	log     []string
}

func (p *pipeline) claims() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

func (p *pipeline) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var answer any
	switch {
	case r.URL.Path == "/v1/grants":
		grants := []map[string]string{}
		for _, user := range p.log[:min(len(p.log), p.limit)] {
			grants = append(grants, map[string]string{"user_id": user})
		}
		answer = map[string]any{"grants": grants}
	case r.Method == http.MethodPost:
		answer = p.claim(w, r)
	default:
		answer = map[string]int{}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (p *pipeline) claim(w http.ResponseWriter, r *http.Request) any {
	var claim struct {
		UserID string `json:"user_id"`
	}
	_ = json.NewDecoder(r.Body).Decode(&claim)
	if !p.refused || len(p.log) >= p.limit {
		p.refused = true
		w.WriteHeader(http.StatusConflict)
		return map[string]string{"type": "https://firstcome.dev/problems/sold-out"}
	}
	p.log = append(p.log, claim.UserID)
	return map[string]string{"status": "granted", "claim_id": "c"}
}

// Who waits is woken up by the end of the test, and says what was wrong last.
func TestAwait_Ended(t *testing.T) {
	own := &attacker{TB: t}
	ctx, end := context.WithCancel(t.Context())
	own.ctx = ctx
	end()
	waited := make(chan struct{})
	go func() { // which Fatalf ends
		defer close(waited)
		Eventually(own, func() (any, error) { return nil, errors.New("nobody is there") })
	}()
	select {
	case <-waited:
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on waiting")
	}
	if want := "waited for an answer without an error until the end: nobody is there"; own.errors() != want {
		t.Errorf("it says %q, want %q", own.errors(), want)
	}
}

// A server of millions of claims remembers those that nobody has answered.
func TestServer_Forgets(t *testing.T) {
	s := &Server{in: io.Discard, waiting: make(map[int]chan string), people: make(map[int]string), away: make(chan struct{})}
	claims := make(chan error, 3)
	for range cap(claims) {
		go func() {
			_, err := s.Claim("tea", "ada")
			claims <- err
		}()
	}
	await(t, "all claims", func() bool { return s.Unanswered() == cap(claims) })
	for number := range cap(claims) {
		s.hear(number+1, "issued")
		if err := <-claims; err != nil {
			t.Error(err)
		}
	}
	if len(s.waiting) > 0 || len(s.Told()) != cap(claims) {
		t.Errorf("%d are waited for, and %d answers were heard", len(s.waiting), len(s.Told()))
	}
}

// attacker is a T as a command has one: it keeps the errors.
type attacker struct {
	testing.TB
	ctx context.Context // nil: the test's
	mu  sync.Mutex
	bad []error
}

func (a *attacker) Context() context.Context {
	if a.ctx != nil {
		return a.ctx
	}
	return a.TB.Context()
}

func (a *attacker) Errorf(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bad = append(a.bad, fmt.Errorf(format, args...))
}

func (a *attacker) Fatalf(format string, args ...any) {
	a.Errorf(format, args...)
	runtime.Goexit()
}

func (a *attacker) errors() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprint(errors.Join(a.bad...))
}
