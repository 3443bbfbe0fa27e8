package gateway

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway/verdict/verdicttest"
)

// A gateway's clock is up to two seconds off, either way: whoever is refused early near a border of time would be refused by
// the log for the same reason, by the broker's clock.
func TestEarlyRefusal_ClocksAtOpeningClosingAndMidnight(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	zone := fcfs.Definition{CouponID: "c", Limit: 1, Window: fcfs.WindowDaily, TimeZone: "Asia/Seoul", Rules: 1}
	midnight := zone.DayEnd(zone.WindowAt(historyT))
	opens, closes := zone, zone
	opens.OpensAt, closes.ClosesAt = historyT+hour, historyT+hour
	sold := func(define fcfs.Definition) []verdicttest.Asked {
		return []verdicttest.Asked{{Time: historyT, Define: &zone, Coupon: "c"}, {Time: historyT, Coupon: "c", User: "winner"}, {Time: historyT, Define: &define, Coupon: "c"}}
	}
	free := func(define fcfs.Definition) []verdicttest.Asked {
		return []verdicttest.Asked{{Time: historyT, Define: &define, Coupon: "c"}}
	}
	for _, c := range []struct {
		name   string
		border fcfs.Millis
		log    []verdicttest.Asked
	}{
		{"opening", historyT + hour, free(opens)},
		{"opening, sold out", historyT + hour, sold(opens)},
		{"closing", historyT + hour, free(closes)},
		{"closing, sold out", historyT + hour, sold(closes)},
		{"midnight, sold out the day before", midnight, sold(zone)},
	} {
		t.Run(c.name, func(t *testing.T) {
			state, _ := verdicttest.Replay(c.log)
			d.set(state)
			next, early, left := int64(len(c.log)), 0, 0
			for _, since := range []fcfs.Millis{-5000, -2001, -2000, -1999, -1, 0, 1, 1999, 2000, 2001, 5000} {
				for _, ahead := range []fcfs.Millis{-2000, -1000, -1, 0, 1, 1000, 2000} {
					for _, user := range []string{"winner", "loser"} {
						broker := c.border + since
						log, _ := verdicttest.Replay(c.log)
						want, _ := log.Claim(next, broker, "c", user)
						k := knockOf("c", user, "?1", next-1, broker+ahead)
						got, err := d.store.Admit(t.Context(), k)
						if err != nil || got.Refused != fcfs.None && got.Refused != want.Outcome {
							t.Errorf("%s, %d ms after the border by the broker's clock, %d ms more by the gateway's: told %s, %v; the log says %s",
								user, since, ahead, got.Refused, err, want.Outcome)
						}
						if err := d.store.Release(t.Context(), k, got.Window); err != nil {
							t.Fatal(err)
						}
						if want.Outcome != fcfs.Granted && got.Refused == fcfs.None {
							left++
						} else if want.Outcome != fcfs.Granted {
							early++
						}
					}
				}
			}
			if early == 0 || left == 0 {
				t.Errorf("%d were refused early and %d left to the log: it is not about a border", early, left)
			}
		})
	}
}

// The same over HTTP, through a real opening and a real closing.
func TestEarlyRefusal_ClocksOverHTTP(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gateways := map[string]*Service{"right": r.service}
	for name, ahead := range map[string]time.Duration{"2 s ahead": 2 * time.Second, "2 s behind": -2 * time.Second} {
		s, _ := startGateway(t, r.servers, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(ahead) } })
		eventually(t, "a gateway whose clock is wrong is ready", func() bool { return len(s.Ready()) == 0 })
		gateways[name] = s
	}
	border := time.Now().Add(6 * time.Second).Truncate(time.Millisecond)
	at := border.UTC().Format(timeLayout)
	r.put("opening", `{"limit":100000,"opens_at":"`+at+`"}`).is(t, 201, "")
	r.put("closing", `{"limit":100000,"closes_at":"`+at+`"}`).is(t, 201, "")
	wrong := map[string]func(began, answered time.Time) bool{
		"not-open": func(began, _ time.Time) bool { return began.After(border) },
		"closed":   func(_, answered time.Time) bool { return answered.Before(border) },
	}
	var all sync.WaitGroup
	for name, s := range gateways {
		for coupon, refusal := range map[string]string{"opening": "not-open", "closing": "closed"} {
			all.Go(func() {
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				early, appended := 0, 0
				for n := 0; time.Since(border) < 5*time.Second; n++ {
					<-tick.C
					began := time.Now()
					got, err := try(s, claimRequest(coupon, fmt.Sprint(name, n), ""))
					answered := time.Now()
					switch {
					case err != nil || got.status != 202 && got.status != 409:
						t.Errorf("answered %s, %v", got.text, err)
					case got.status == 202:
						appended++
					case wrong[refusal](began, answered):
						t.Errorf("%s, asked %s and answered %s after the border: %s", name, began.Sub(border), answered.Sub(border), got.text)
					default:
						early++
					}
				}
				if early == 0 || appended == 0 {
					t.Errorf("%s: %d refused early at the %s, %d appended", name, early, coupon, appended)
				}
			})
		}
	}
	all.Wait()
}

// While many ask at two gateways the limit rises and falls again and again: from the moment at which the admin is told, it is
// what everybody is told by, at both.
func TestEarlyRefusal_LimitRaisedAtThatMoment(t *testing.T) {
	t.Parallel()
	const rounds, each = 20, 3
	r, p := newRig(t), event.Partition("tea", parts)
	second, _ := startGateway(t, r.servers)
	eventually(t, "a second gateway is ready", func() bool { return len(second.Ready()) == 0 })
	gateways := []*Service{r.service, second}
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	r.claim("tea", "first", "wait=9").is(t, 200, "")

	var told atomic.Int64 // even: being changed; 1, 5, …: the admin was told that it is high; 3, 7, …: that it is low
	var refusals atomic.Int64
	var asked [4]atomic.Int64
	stop := make(chan struct{})
	var askers sync.WaitGroup
	for i := range asked {
		askers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				before := told.Load()
				got, err := try(gateways[i%2], claimRequest("tea", fmt.Sprint("u", i, "-", n), "wait=9"))
				if got.status == 409 {
					refusals.Add(1)
				}
				if before%2 == 0 || told.Load() != before {
					continue
				}
				want := 200
				if before%4 == 3 {
					want = 409
				}
				if err != nil || got.status != want {
					t.Errorf("the admin had been told (%d), and somebody is told %s, %v", before, got.text, err)
				}
				asked[i].Add(1)
			}
		})
	}
	// The definition is in the log for a moment before it is decided, and people are refused meanwhile.
	change := func(n int, limit string) {
		told.Store(int64(2 * n))
		end, before := r.ends()[p], refusals.Load()
		goOn := r.Hold()
		defer goOn()
		answered := make(chan reply, 1)
		go func() {
			put := request{method: "PUT", path: "/v1/coupons/tea", body: `{"limit":` + limit + `}`, token: adminToken}
			got, _ := try(gateways[n/2%2], put)
			for i := range asked {
				asked[i].Store(0)
			}
			told.Store(int64(2*n + 1))
			answered <- got
		}()
		eventually(t, "the definition is in the log", func() bool { return r.ends()[p] > end })
		if n%2 == 0 {
			eventually(t, "people are refused meanwhile", func() bool { return refusals.Load() > before+int64(2*len(asked)) })
		}
		goOn()
		(<-answered).is(t, 200, "")
		eventually(t, "everybody has asked", func() bool {
			for i := range asked {
				if asked[i].Load() < each {
					return false
				}
			}
			return true
		})
	}
	for n := range rounds {
		change(2*n, "100000")
		change(2*n+1, "1")
	}
	close(stop)
	askers.Wait()
}

// Redis is rebuilt record by record: below what was heard nobody is refused, at any gateway, and nothing is told of.
func TestEarlyRefusal_RedisRebuilding(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	second, _ := startGateway(t, r.servers)
	eventually(t, "a second gateway is ready", func() bool { return len(second.Ready()) == 0 })
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	r.claim("tea", "u1", "wait=9").is(t, 200, "")
	r.put("tea", `{"limit":2,"opens_at":"`+inText(time.Hour)+`"}`).is(t, 200, "")
	r.put("tea", `{"limit":2,"closes_at":"`+inText(-time.Hour)+`"}`).is(t, 200, "")
	r.put("tea", `{"limit":2}`).is(t, 200, "")
	id := r.claim("tea", "u2", "wait=9").is(t, 200, "").string("claim_id")
	eventually(t, "the second gateway has heard it too", func() bool {
		return do(t, second, request{method: "GET", path: "/v1/coupons/tea"}).number("granted") == 2
	})
	p := event.Partition("tea", parts)
	records := r.records(p)
	goOn := r.Hold()
	defer goOn()
	r.servers.FlushRedis(t)
	third, _ := startGateway(t, r.servers)
	eventually(t, "a third gateway is ready", func() bool { return len(third.Ready()) == 0 })
	for rebuilt := range records { // of so many records; 0: Redis is empty
		if rebuilt > 0 {
			r.restore(p, records[:rebuilt])
		}
		for name, s := range map[string]*Service{"who told": r.service, "who listened": second, "who is new": third} {
			for _, user := range []string{"u1", "u2", fmt.Sprint(name, rebuilt)} {
				do(t, s, claimRequest("tea", user, "")).is(t, 202, "")
				r.expireGuards()
			}
			do(t, s, request{method: "GET", path: "/v1/coupons/tea"}).is(t, 503, "unavailable")
			if got := do(t, s, request{method: "GET", path: "/v1/claims/" + id}).is(t, 200, ""); got.string("status") != "pending" {
				t.Errorf("%s, of %d records: the claim is %s", name, rebuilt, got.text)
			}
		}
	}
	goOn()
	r.Write()
	eventually(t, "the state is back", func() bool { return r.get("/v1/claims/"+id).string("status") == "granted" })
	eventually(t, "people are refused early again", func() bool {
		got := r.claim("tea", "late", "")
		r.double.redis.Del(context.Background(), redislayout.New(r.servers.RedisPrefix, p).Guard("tea", "", "late"))
		return got.status == 409 && got.string("claim_id") == ""
	})
}

// restore makes Redis what the first records of a partition lead to, and nothing else.
func (r *rig) restore(p int32, records []event.Record) {
	r.t.Helper()
	log := fcfs.NewLog(p)
	for _, record := range records {
		apply(log, record)
	}
	held := r.double.logs[p]
	r.double.logs[p] = log
	r.double.write(context.Background(), log)
	r.double.logs[p] = held
}

// No message gets through, so the second gateway hears of nothing: what the first one told is true at the second too, and
// what the second tells then is true at the first.
func TestEarlyRefusal_TwoGatewaysOneOfThemDeaf(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	deaf, _ := startGateway(t, r.servers)
	eventually(t, "a second gateway is ready", func() bool { return len(deaf.Ready()) == 0 })
	define := func(limit string) {
		t.Helper()
		r.put("tea", `{"limit":`+limit+`}`)
	}
	ask := func(s *Service, user, prefer string) reply { return do(t, s, claimRequest("tea", user, prefer)) }
	define("1")
	r.muted.Store(true)
	p := event.Partition("tea", parts)
	behind := func() {
		t.Helper()
		if one, two := r.service.requests.Load().heard[p].Load(), deaf.requests.Load().heard[p].Load(); two >= one {
			t.Fatalf("the first has heard of %d, and the deaf one of %d", one, two)
		}
	}
	for _, step := range []struct {
		name  string
		tell  func()
		true_ func(s *Service, user string)
	}{
		{"the last one is granted: sold out",
			func() { ask(r.service, "u1", "wait=9").is(t, 200, "") },
			func(s *Service, user string) { ask(s, user, "").is(t, 409, "sold-out") }},
		{"the limit has risen: open again",
			func() { define("100") },
			func(s *Service, user string) { ask(s, user, "wait=9").is(t, 200, "") }},
		{"the limit has fallen: sold out",
			func() { define("1") },
			func(s *Service, user string) { ask(s, user, "").is(t, 409, "sold-out") }},
		{"it has closed",
			func() { define(`100,"closes_at":"` + inText(-time.Hour) + `"`) },
			func(s *Service, user string) { ask(s, user, "").is(t, 409, "closed") }},
		{"it will open later",
			func() { define(`100,"opens_at":"` + inText(time.Hour) + `"`) },
			func(s *Service, user string) { ask(s, user, "").is(t, 409, "not-open") }},
		{"it is open again",
			func() { define("100") },
			func(s *Service, user string) { ask(s, user, "wait=9").is(t, 200, "") }},
		{"a person holds it",
			func() { ask(r.service, "u2", "wait=9").is(t, 200, ""); r.expireGuards() },
			func(s *Service, _ string) { ask(s, "u2", "").is(t, 409, "already-issued") }},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.tell()
			behind()
			step.true_(deaf, "deaf: "+step.name)
			step.true_(r.service, "first: "+step.name)
		})
	}
}

// Redis dies and comes back older than what the first gateway has told from it; the second had heard of nothing.
func TestEarlyRefusal_RedisComesBackOlderThanTold(t *testing.T) {
	t.Parallel()
	servers := coupontest.StartAlone(t, coupontest.Kafka, coupontest.Redis)
	r := newRigOn(t, servers)
	deaf, _ := startGateway(t, servers)
	eventually(t, "a second gateway is ready", func() bool { return len(deaf.Ready()) == 0 })
	gateways := map[string]*Service{"who told": r.service, "who is deaf": deaf}
	p := event.Partition("tea", parts)
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	r.claim("tea", "u1", "wait=9").is(t, 200, "")
	do(t, deaf, claimRequest("tea", "u2", "")).is(t, 409, "sold-out")
	r.muted.Store(true)
	r.put("tea", `{"limit":2}`).is(t, 200, "")
	if heard := deaf.requests.Load().heard[p].Load(); heard != 1 {
		t.Fatalf("the deaf one has heard of %d", heard)
	}
	records := r.records(p)

	goOn := r.Hold()
	defer goOn()
	servers.Kill(t, coupontest.Redis)
	for name, s := range gateways {
		eventually(t, name+" has noticed", func() bool { return !s.redis.Up() })
	}
	servers.Restart(t, coupontest.Redis)
	r.restore(p, records[:2])
	var first string
	for name, s := range gateways {
		eventually(t, name+" is ready again", func() bool { return len(s.Ready()) == 0 })
		do(t, s, request{method: "GET", path: "/v1/coupons/tea"}).is(t, 503, "unavailable")
		if got := do(t, s, claimRequest("tea", name, "")).is(t, 202, ""); first == "" {
			first = got.string("claim_id")
		}
	}
	goOn()
	r.Write()
	for name, s := range gateways {
		eventually(t, name+" tells of the new limit", func() bool {
			return do(t, s, request{method: "GET", path: "/v1/claims/" + first}).string("status") == "granted"
		})
	}
}
