package cli

import (
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

// Two of everything on the same servers. One of them is killed and started again while people ask through the other, Redis
// is emptied with people asking and without, and somebody audits without end: what is on its way, or being rebuilt, is
// never a difference.
func TestAudit_WhileServicesDie(t *testing.T) {
	servers := coupontest.Start(t)
	servers.CreateTopics(t, 3)
	given := []string{"--kafka", strings.Join(servers.Brokers, ","), "--redis", servers.RedisAddr, "--postgres", servers.DatabaseURL}
	dir, mortal := t.TempDir(), t.TempDir()
	startLocal(t, dir, servers.Env(), given...)
	victim := startLocal(t, mortal, servers.Env(), given...)

	auditor := auditWithoutEnd(t, dir)
	defer auditor.end()
	var records []string
	for _, round := range []struct {
		coupon string
		fault  func()
	}{
		{"tea", func() { servers.FlushRedis(t) }},
		{"lunch", victim.kill},
		{"cake", func() { victim = startLocal(t, mortal, servers.Env(), given...); servers.FlushRedis(t) }},
		{"bun", func() { servers.FlushRedis(t); victim.kill() }},
	} {
		record := filepath.Join(t.TempDir(), round.coupon+".ndjson")
		records = append(records, "--answers", record)
		crowd := crowdOf(t, nil, "--data-dir", dir, "--coupon", round.coupon, "--limit", "400", "--people", "1500", "--record", record)
		eventually(t, "some were granted", func() bool { return granted(t, dir, round.coupon) >= 50 })
		round.fault()
		auditor.goesOn()
		if got := <-crowd; got.code != exitOK {
			t.Errorf("the crowd for %s: exit code %d, %s%s", round.coupon, got.code, got.out, got.err)
		}
	}
	servers.FlushRedis(t)
	auditor.goesOn()
	auditor.end()
	t.Logf("%d audits", auditor.audits.Load())
	got := mustRun(t, nil, append([]string{"audit", "--data-dir", dir}, records...)...)
	if !strings.Contains(got.out, "1,600 grants") || !strings.Contains(got.out, "6,000 answers") {
		t.Errorf("the audit compared too little: %s", got.out)
	}
}

// auditing is an audit after another.
type auditing struct {
	t      *testing.T
	audits atomic.Int64
	stop   atomic.Bool
	done   chan struct{}
}

func auditWithoutEnd(t *testing.T, dir string) *auditing {
	a := &auditing{t: t, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		for !a.stop.Load() {
			if got := run(t, nil, "audit", "--data-dir", dir, "--timeout", (patience / 2).String()); got.code != exitOK {
				t.Errorf("a difference that is none: %s%s", got.out, got.err)
			}
			a.audits.Add(1)
		}
	}()
	return a
}

// goesOn returns when the audit that is under way has ended.
func (a *auditing) goesOn() {
	a.t.Helper()
	before := a.audits.Load()
	eventually(a.t, "an audit ends", func() bool { return a.audits.Load() > before })
}

func (a *auditing) end() {
	a.stop.Store(true)
	<-a.done
}
