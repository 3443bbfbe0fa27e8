package strategy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

// A shop that has sold in another way moves to the pipeline with `firstcome import`: nobody loses theirs, and nobody gets two.
func TestMove(t *testing.T) {
	t.Parallel()
	servers := coupontest.Start(t)
	running := servers.Pipeline(t)
	m := move{servers: servers, to: strategy.Log{GatewayURL: running.GatewayURL, LedgerURL: running.LedgerURL}}
	for _, name := range onRedis {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop, id := strategytest.Open(name, servers.Redis(t)), m.couponID(t)
			told := m.sell(t, shop, id, 10, strategytest.People(4))
			m.sellOn(t, id, told, "--from-redis", servers.RedisAddr)
		})
	}
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		shop, id := strategy.Postgres{Pool: pool(t, servers, "")}, m.couponID(t)
		check(t, shop.Migrate(t.Context()))
		told := m.sell(t, shop, id, 10, strategytest.People(4))
		people, err := shop.Issued(t.Context(), id)
		check(t, err)
		m.sellOn(t, id, told, "--csv", listFile(t, people))
	})
	t.Run("asked wrongly", func(t *testing.T) { m.askedWrongly(t) })
	t.Run("opening later", func(t *testing.T) { m.openingLater(t) })
}

type move struct {
	servers *coupontest.Servers
	to      strategy.Log
}

func (m move) couponID(t *testing.T) string {
	return strategytest.Subject{Tidy: func(t strategytest.T, id string) {
		ctx, client := context.WithoutCancel(t.Context()), m.servers.Redis(tb(t))
		keys, err := client.Keys(ctx, "*coupon:"+id+"*").Result()
		check(tb(t), err)
		check(tb(t), client.Del(ctx, append(keys, "none")...).Err())
	}}.CouponID(t)
}

// sell gives one to each of the people, in the old way.
func (m move) sell(t *testing.T, shop strategy.Strategy, couponID string, limit int64, people []string) (told []strategy.Told) {
	check(t, shop.SetLimit(t.Context(), couponID, limit))
	t.Cleanup(strategytest.Work(t, shop, couponID))
	for _, user := range people {
		told = append(told, strategytest.Decided(t, shop, couponID, user))
	}
	return told
}

// sellOn moves a coupon of which four have one, twice, and sells the last two of six to three more and the four.
func (m move) sellOn(t *testing.T, couponID string, told []strategy.Told, from ...string) {
	want := couponID + ": 4 people have it as before, 2 of 6 are left\n"
	for range 2 { // the second time there is nothing to do
		if out, code := m.run(t, append([]string{"import", couponID, "--limit", "6"}, from...)...); code != 0 || out != want {
			t.Fatalf("exit code %d:\n%s\nwant\n%s", code, out, want)
		}
	}
	for _, user := range strategytest.People(7) {
		told = append(told, strategytest.Decided(t, m.to, couponID, user))
	}
	untilListed(t, m.servers, m.to, couponID)
	issued, err := m.to.Issued(t.Context(), couponID)
	check(t, err)
	slices.Sort(issued)
	if faults := strategy.Count(strategy.Sale{Limit: 6, Issued: issued, Told: told}); len(faults) > 0 || !slices.Equal(issued, strategytest.People(6)) {
		t.Errorf("%v have one, with %v; want the first six", issued, faults)
	}
	out, code := m.run(t, append([]string{"import", couponID, "--limit", "6"}, from...)...)
	if code != 1 || !strings.Contains(out, "the door was not closed: 2 people who are not on the list") {
		t.Errorf("with the door open it exits with %d and says\n%s", code, out)
	}
}

func (m move) askedWrongly(t *testing.T) {
	id := m.couponID(t)
	two := listFile(t, []string{"ada", "bob"})
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--limit", "6", "--from-redis", m.servers.RedisAddr}, 1, "coupon:" + id + ":issued names nobody"},
		{[]string{"--limit", "6"}, 2, "one of --from-redis and --csv"},
		{[]string{"--limit", "0", "--csv", two}, 2, "limit"},
		{[]string{"--limit", "6", "--csv", two, "--opens-at", "soon"}, 2, "--opens-at"},
		{[]string{"--limit", "6", "--csv", listFile(t, []string{"ada", "ada"})}, 1, `line 3: "ada" is in line 2 already`},
		{[]string{"--limit", "6", "--csv", two + "x"}, 1, "no such file"},
	} {
		if out, code := m.run(t, append([]string{"import", id}, c.args...)...); code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%v: exit code %d, says %s", c.args, code, out)
		}
	}
}

// The people of the list have it before the opening, and those whom an import did not get to are let in by the next one.
func (m move) openingLater(t *testing.T) {
	t.Parallel()
	id := m.couponID(t)
	for _, c := range []struct {
		people []string
		says   string
	}{
		{[]string{"bob"}, "1 people have it as before, 0 of 1 are left"},
		{[]string{"bob", "ada"}, "2 people have it as before, 0 of 1 are left"},
	} {
		if out, code := m.run(t, "import", id, "--limit", "1", "--csv", listFile(t, c.people), "--opens-at", "1h"); code != 0 || out != id+": "+c.says+"\n" {
			t.Errorf("%v: exit code %d, says %s", c.people, code, out)
		}
	}
	var problem *strategy.Problem
	if _, err := m.to.Claim(t.Context(), id, "eve"); !errors.As(err, &problem) || problem.Name != "not-open" {
		t.Errorf("before the opening eve is told %v", err)
	}
	untilListed(t, m.servers, m.to, id)
	if users, err := m.to.Issued(t.Context(), id); err != nil || !slices.Equal(users, []string{"bob", "ada"}) {
		t.Errorf("%v have one, %v; want those of the list, in its order", users, err)
	}
}

// Without an issuer import waits, and says for whom.
func TestMove_NoIssuer(t *testing.T) {
	t.Parallel()
	servers := coupontest.Start(t, coupontest.Kafka)
	servers.CreateTopics(t, 1)
	cmd := exec.Command(os.Getenv("FIRSTCOME_BIN"), "import", "tea", "--limit", "6", "--csv", listFile(t, []string{"ada", "bob"}))
	cmd.Env = append(os.Environ(), servers.Env()...)
	said, err := cmd.StderrPipe()
	check(t, err)
	check(t, cmd.Start())
	const want = "firstcome: waiting: the issuer has decided 0 of 3 requests; is it running?"
	lines, heard := bufio.NewScanner(said), false
	for !heard && lines.Scan() { // a broker that has just started has its own to say
		heard = lines.Text() == want
	}
	if !heard {
		t.Errorf("it does not say %q", want)
	}
	check(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
}

func listFile(t *testing.T, people []string) string {
	path := filepath.Join(t.TempDir(), "people.csv")
	check(t, os.WriteFile(path, []byte("user_id\n"+strings.Join(people, "\n")+"\n"), 0o600))
	return path
}

func (m move) run(t *testing.T, args ...string) (said string, code int) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(os.Getenv("FIRSTCOME_BIN"), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), m.servers.Env()...), &out, &out
	_ = cmd.Run() // the exit code says it
	return out.String(), cmd.ProcessState.ExitCode()
}
