package waiting

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway"
	"github.com/firstcome/firstcome/test/process"
)

const (
	posts   = "Prefer: wait=30"
	streams = "event stream"

	partitions = 4
	coupon     = "tea"
	together   = 500 // people who come at once
)

// crowd is people who wait in one way.
type crowd struct {
	name     string
	protocol string
	people   int
	how      string

	t       *testing.T
	gateway *process.Process
	client  *http.Client
	told    atomic.Int64 // people who have their grant
	late    atomic.Int64 // people whose 30 s were over before, so that they followed their claim
	done    sync.WaitGroup
}

// cost is what a crowd came to.
type cost struct {
	crowd           *crowd
	before, waiting float64 // resident memory of the gateway, bytes
	last            time.Duration
}

func (c cost) row() string {
	const mib = 1 << 20
	return fmt.Sprintf("| %d | %s | %s | %.0f | %.0f | %.1f | %.2f s |\n", c.crowd.people, c.crowd.protocol, c.crowd.how,
		c.before/mib, c.waiting/mib, (c.waiting-c.before)/float64(c.crowd.people)/1024, c.last.Seconds())
}

func (c *crowd) measure(t *testing.T) cost {
	servers := coupontest.Start(t, coupontest.Kafka, coupontest.Redis)
	cfg := gateway.Config{MaxWaiters: c.people + 100}
	env := append(process.Environment(servers), fmt.Sprint("MAX_WAITERS=", cfg.MaxWaiters))
	process.CreateTopics(t, env, partitions)
	c.t, c.gateway = t, process.Start(t, "gateway", env)
	issuer := process.Start(t, "issuer", env)
	c.gateway.WaitReady(t)
	if limit := c.gateway.Metric(t, "go_gc_gomemlimit_bytes"); limit != float64(cfg.MemoryLimit()) {
		t.Errorf("the memory limit is %.0f, want %d", limit, cfg.MemoryLimit())
	}
	if status, body := c.gateway.Put(t, coupon, fmt.Sprintf(`{"limit":%d}`, c.people)); status != http.StatusCreated {
		t.Fatalf("the coupon: %d %s", status, body)
	}
	issuer.Term(t) // from here on nobody decides

	c.client = c.newClient()
	defer c.client.CloseIdleConnections()
	ctx, giveUp := context.WithCancel(context.Background())
	defer c.done.Wait()
	defer giveUp()
	result := cost{crowd: c}
	if c.how == posts {
		result.before = c.resident()
		c.come(func(user int) { c.post(ctx, user) })
		c.appended(servers)
	} else {
		paths := c.claims(ctx)
		c.gateway.Term(t) // what the claims cost is not what the streams do
		c.gateway = process.Start(t, "gateway", env)
		c.gateway.WaitReady(t)
		result.before = c.resident()
		c.come(func(user int) { c.follow(ctx, paths[user]) })
	}
	result.waiting = c.resident()
	if late := c.late.Load(); late > 0 {
		t.Logf("%d of %d people were told pending, and follow their claim now", late, c.people)
	}
	result.last = c.lastAnswer(servers, env)
	return result
}

func (c *crowd) newClient() *http.Client {
	var p http.Protocols
	p.SetHTTP1(c.protocol == "HTTP/1.1")
	p.SetUnencryptedHTTP2(c.protocol == "HTTP/2")
	return &http.Client{Transport: &http.Transport{Protocols: &p, MaxIdleConnsPerHost: c.people}}
}

// resident is the most of some looks at the process's memory, which its collector may be about to give back.
func (c *crowd) resident() (most float64) {
	for range 10 {
		most = max(most, c.gateway.Metric(c.t, "process_resident_memory_bytes"))
	}
	return most
}

// come lets all of the crowd come, and returns once they wait.
func (c *crowd) come(one func(user int)) {
	c.t.Helper()
	for came := 0; came < c.people; {
		for range min(together, c.people-came) {
			user := came
			c.done.Go(func() { one(user) })
			came++
		}
		process.Eventually(c.t, func() bool { return c.gateway.Metric(c.t, "coupon_gateway_waiters") == float64(came) },
			func() string {
				return fmt.Sprintf("of %d people %v wait", came, c.gateway.Metric(c.t, "coupon_gateway_waiters"))
			})
	}
}

// appended returns once all claims are in the log: a place to wait is taken before.
func (c *crowd) appended(servers *coupontest.Servers) {
	c.t.Helper()
	kafka, topic := servers.Kafka(c.t), servers.TopicPrefix+event.TopicRequests
	var end int64
	process.Eventually(c.t, func() bool {
		ends, err := kafka.Ends(c.t.Context(), topic)
		end = ends[event.Partition(coupon, partitions)]
		return err == nil && end == int64(c.people)+1 // the definition is at 0
	}, func() string { return fmt.Sprintf("of %d claims the log has %d", c.people, end-1) })
}

func (c *crowd) request(ctx context.Context, method, path, body string, header ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.gateway.Public+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+process.ClaimSecret)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return c.client.Do(req)
}

func (c *crowd) post(ctx context.Context, user int) {
	res, err := c.claim(ctx, user, "Prefer", "wait=30")
	if err != nil {
		c.fail(ctx, err.Error())
		return
	}
	if res.StatusCode == http.StatusOK {
		c.told.Add(1)
		return
	}
	c.late.Add(1)
	c.follow(ctx, res.Header.Get("Location"))
}

// claim asks until the claim is taken: the machine may be too slow for so many, and then they are asked to come again.
// The answer is read already.
func (c *crowd) claim(ctx context.Context, user int, header ...string) (*http.Response, error) {
	for {
		res, err := c.request(ctx, "POST", "/v1/coupons/"+coupon+"/claims", fmt.Sprintf(`{"user_id":"u%d"}`, user),
			append(header, "Content-Type", "application/json")...)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		switch {
		case err != nil:
			return nil, err
		case res.StatusCode == http.StatusOK, res.StatusCode == http.StatusAccepted:
			return res, nil
		case res.StatusCode != http.StatusServiceUnavailable:
			return nil, fmt.Errorf("a claim is answered %d %s", res.StatusCode, text)
		}
		select {
		case <-time.After(time.Second): // as Retry-After says
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fail says why somebody was not told, unless the test is over.
func (c *crowd) fail(ctx context.Context, why string) {
	if ctx.Err() == nil {
		c.t.Error(why)
	}
}

// claims are made by the whole crowd, and nobody waits.
func (c *crowd) claims(ctx context.Context) (paths []string) {
	paths = make([]string, c.people)
	var asking sync.WaitGroup
	for worker := range together {
		asking.Go(func() {
			for user := worker; user < c.people; user += together {
				res, err := c.claim(ctx, user)
				if err != nil {
					c.t.Error(err)
					return
				}
				paths[user] = res.Header.Get("Location")
			}
		})
	}
	asking.Wait()
	return paths
}

// follow reads a claim's stream until its end.
func (c *crowd) follow(ctx context.Context, path string) {
	res, err := c.request(ctx, "GET", path, "", "Accept", "text/event-stream")
	if err != nil {
		c.fail(ctx, err.Error())
		return
	}
	defer res.Body.Close()
	last := ""
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			last = data
		}
	}
	var told struct{ Status string }
	if json.Unmarshal([]byte(last), &told); res.StatusCode != http.StatusOK || lines.Err() != nil || told.Status != "granted" {
		c.fail(ctx, fmt.Sprintf("%d: the stream ended with %q, %v", res.StatusCode, last, lines.Err()))
		return
	}
	c.told.Add(1)
}

// lastAnswer is the time until everybody has been told, where all are woken at once: the gateway stands still until all is
// decided.
func (c *crowd) lastAnswer(servers *coupontest.Servers, env []string) time.Duration {
	c.t.Helper()
	c.gateway.Signal(c.t, syscall.SIGSTOP)
	process.Start(c.t, "issuer", env)
	redis, key := servers.Redis(c.t), redislayout.New(servers.RedisPrefix, event.Partition(coupon, partitions)).Progress()
	last := int64(c.people) // the definition is at 0
	process.Eventually(c.t, func() bool {
		at, err := redislayout.ParseProgress(redis.Get(c.t.Context(), key).Val())
		return err == nil && at.Offset >= last
	}, func() string { return "the claims are not decided" })
	began := time.Now()
	c.gateway.Signal(c.t, syscall.SIGCONT)
	process.Eventually(c.t, func() bool { return c.told.Load() == int64(c.people) },
		func() string { return fmt.Sprintf("%d of %d people were told", c.told.Load(), c.people) })
	return time.Since(began)
}
