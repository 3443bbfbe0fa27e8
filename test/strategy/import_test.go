package strategy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
	"github.com/firstcome/firstcome/strategy"
)

// What an import of ada and bob, limit 3, opening in an hour, leaves in the log wherever it is killed, and what is there already.
func TestImport(t *testing.T) {
	t.Parallel()
	servers := coupontest.Start(t)
	running := servers.Pipeline(t)
	i := importing{
		move:    move{servers: servers, to: strategy.Log{GatewayURL: running.GatewayURL, LedgerURL: running.LedgerURL}},
		running: running, opens: time.Now().Add(time.Hour).UTC().Truncate(time.Second), list: listFile(t, []string{"ada", "bob"}),
	}
	for records := range 5 {
		t.Run(fmt.Sprintf("killed after %d records", records), func(t *testing.T) { i.killed(t, records) })
	}
	t.Run("two at once", i.twoAtOnce)
	t.Run("daily coupon", i.daily)
	t.Run("other time zone", i.otherTimeZone)
	t.Run("bad people", i.badPeople)
	t.Run("somebody claims meanwhile", i.notClosed)
	t.Run("somebody waits", i.waiting)
}

type importing struct {
	move
	running *coupontest.Running
	opens   time.Time
	list    string
}

func (i importing) run(t *testing.T, id string) (said string, code int) {
	return i.move.run(t, "import", id, "--limit", "3", "--csv", i.list, "--opens-at", i.opens.Format(time.RFC3339))
}

// requests are what an import publishes, in order.
func (i importing) requests(t *testing.T, id string) (all []event.Message) {
	m := event.Meta{Source: "/firstcome/import"}
	open := event.CouponDefined{CouponID: id, Limit: 3, Window: event.WindowNone, TimeZone: "UTC"}
	wanted := open
	wanted.OpensAt = i.opens
	for _, make := range []func(event.Meta) (event.Message, error){
		open.Message, event.ClaimRequested{CouponID: id, UserID: "ada"}.Message, event.ClaimRequested{CouponID: id, UserID: "bob"}.Message, wanted.Message,
	} {
		one, err := make(m)
		check(t, err)
		all = append(all, one)
	}
	return all
}

func (i importing) publish(t *testing.T, all ...event.Message) {
	t.Helper()
	p, err := producer.New(producer.Config{Client: i.servers.Kafka(t)})
	check(t, err)
	defer p.Close(t.Context())
	for _, one := range all {
		_, err := p.Publish(t.Context(), one)
		check(t, err)
	}
}

// imported wants ada and bob to have one, in that order, and nobody else before the opening.
func (i importing) imported(t *testing.T, id string) {
	t.Helper()
	untilListed(t, i.servers, i.to, id)
	if users, err := i.to.Issued(t.Context(), id); err != nil || !slices.Equal(users, []string{"ada", "bob"}) {
		t.Errorf("%v have one, %v; want ada and bob", users, err)
	}
	var problem *strategy.Problem
	if _, err := i.to.Claim(t.Context(), id, "eve"); !errors.As(err, &problem) || problem.Name != "not-open" {
		t.Errorf("before the opening eve is told %v", err)
	}
	if left, err := i.to.Remaining(t.Context(), id); err != nil || left != 1 {
		t.Errorf("there remain %d, %v; want 1", left, err)
	}
}

// killed is an import that was killed after so many records, and one that is run then.
func (i importing) killed(t *testing.T, records int) {
	t.Parallel()
	id := i.couponID(t)
	i.publish(t, i.requests(t, id)[:records]...)
	if records == 4 {
		i.servers.Grants(t, id) // once all are decided
	}
	if said, code := i.run(t, id); code != 0 || said != id+": 2 people have it as before, 1 of 3 are left\n" {
		t.Errorf("exit code %d, says %s", code, said)
	}
	i.imported(t, id)
}

// Two who import the same list at once may be in each other's way, which they say; whoever does it again is through.
func (i importing) twoAtOnce(t *testing.T) {
	t.Parallel()
	id := i.couponID(t)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if said, code := i.run(t, id); code != 0 && !strings.Contains(said, "perhaps another import") {
				t.Errorf("exit code %d, says %s", code, said)
			}
		})
	}
	both.Wait()
	if said, code := i.run(t, id); code != 0 {
		t.Errorf("exit code %d, says %s", code, said)
	}
	i.imported(t, id)
}

// A coupon that is given out each day stays one. Nobody is given today's.
func (i importing) daily(t *testing.T) {
	t.Parallel()
	id := i.couponID(t)
	i.running.Define(t, event.CouponDefined{CouponID: id, Limit: 9, Window: event.WindowDaily, TimeZone: "UTC"})
	_, err := i.to.Claim(t.Context(), id, "ada")
	check(t, err)
	before := len(i.servers.Requests(t, id))
	if said, code := i.run(t, id); code != 1 || !strings.Contains(said, "has the window daily already") {
		t.Errorf("exit code %d, says %s", code, said)
	}
	if after := len(i.servers.Requests(t, id)); after != before {
		t.Errorf("%d records were published", after-before)
	}
}

// Of a coupon that is given once the time zone is nobody's matter.
func (i importing) otherTimeZone(t *testing.T) {
	t.Parallel()
	id := i.couponID(t)
	i.running.Define(t, event.CouponDefined{CouponID: id, Limit: 9, Window: event.WindowNone, TimeZone: "Asia/Seoul"})
	_, err := i.to.Claim(t.Context(), id, "ada")
	check(t, err)
	if said, code := i.run(t, id); code != 0 {
		t.Errorf("exit code %d, says %s", code, said)
	}
	i.imported(t, id)
}

// What cannot be read, or is nobody's id, is found before anything is published.
func (i importing) badPeople(t *testing.T) {
	t.Parallel()
	id := i.couponID(t)
	client := i.servers.Redis(t)
	set := "coupon:" + id + ":issued"
	for _, c := range []struct {
		write func() error
		says  string
	}{
		{func() error { return client.RPush(t.Context(), set, "ada").Err() }, "read " + set + ": WRONGTYPE"},
		{func() error { return client.SAdd(t.Context(), set, "ada", "b\nob").Err() }, set + `: user id "b\nob": must have no control characters`},
	} {
		check(t, client.Del(t.Context(), set).Err())
		check(t, c.write())
		if said, code := i.move.run(t, "import", id, "--limit", "3", "--from-redis", i.servers.RedisAddr); code != 1 || !strings.Contains(said, c.says) {
			t.Errorf("exit code %d, says %s; want %s", code, said, c.says)
		}
	}
	if n := len(i.servers.Requests(t, id)); n > 0 {
		t.Errorf("%d records were published", n)
	}
}

// Ada has one, and bob waits in the queue, or in the hands of the worker: he would be forgotten.
func (i importing) waiting(t *testing.T) {
	t.Parallel()
	id, client := i.couponID(t), i.servers.Redis(t)
	list := "coupon:" + id + ":"
	check(t, client.SAdd(t.Context(), list+"issued", "ada").Err())
	check(t, client.LPush(t.Context(), list+"queue", "bob").Err())
	for _, where := range []string{"queue", "processing"} {
		said, code := i.move.run(t, "import", id, "--limit", "3", "--from-redis", i.servers.RedisAddr)
		if want := "1 people wait for their answer in " + list + where + ": let the worker finish first"; code != 1 || !strings.Contains(said, want) {
			t.Errorf("exit code %d, says %s; want %s", code, said, want)
		}
		if where == "queue" {
			check(t, client.LMove(t.Context(), list+"queue", list+"processing", "RIGHT", "LEFT").Err())
		}
	}
	if n := len(i.servers.Requests(t, id)); n > 0 {
		t.Errorf("%d records were published", n)
	}
}

// An import is killed with the door open; somebody has come in. The next one says who, and leaves the coupon as it is.
func (i importing) notClosed(t *testing.T) {
	t.Parallel()
	id := i.couponID(t)
	i.publish(t, i.requests(t, id)[:3]...)
	i.servers.Grants(t, id) // once all are decided
	if _, err := i.to.Claim(t.Context(), id, "eve"); err != nil {
		t.Errorf("eve is told %v", err)
	}
	before := len(i.servers.Requests(t, id))
	if said, code := i.run(t, id); code != 1 || !strings.Contains(said, `the door was not closed: 1 people who are not on the list have coupon `+id+`, such as "eve"`) {
		t.Errorf("exit code %d, says %s", code, said)
	}
	if after := len(i.servers.Requests(t, id)); after != before {
		t.Errorf("%d records were published", after-before)
	}
}
