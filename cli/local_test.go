package cli

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/cli/internal/client"
	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/pkg/coupontest"
)

// crowdOf lets people ask in the background; what it left behind comes through the channel.
func crowdOf(t *testing.T, env map[string]string, args ...string) chan ran {
	done := make(chan ran, 1)
	go func() { done <- run(t, env, append([]string{"load", "--concurrency", "100"}, args...)...) }()
	return done
}

// granted is how many have it by now, 0 while nobody answers.
func granted(t *testing.T, dataDir, couponID string) int64 {
	found, err := endpoint.Finder{Getenv: func(string) string { return "" }, DataDir: dataDir}.Find(endpoint.GatewayURL)
	if err != nil {
		return 0
	}
	c, err := (&client.Gateway{URL: found[endpoint.GatewayURL]}).Coupon(t.Context(), couponID)
	if err != nil {
		return 0
	}
	return c.Granted
}

func mustRun(t *testing.T, env map[string]string, args ...string) ran {
	t.Helper()
	got := run(t, env, args...)
	if got.code != exitOK {
		t.Fatalf("firstcome %s: exit code %d\n%s%s", strings.Join(args, " "), got.code, got.out, got.err)
	}
	return got
}

// Killed twice in the middle of a crowd, and started again: nothing is lost, nobody has two, and everyone who was told
// granted still has that sequence.
func TestLocal_KilledInTheMiddle(t *testing.T) {
	dir, record := t.TempDir(), filepath.Join(t.TempDir(), "answers.ndjson")
	p := startLocal(t, dir, nil)
	crowd := crowdOf(t, nil, "--data-dir", dir, "--coupon", "tea", "--limit", "1500", "--people", "3000", "--record", record)
	for _, many := range []int64{150, 800} {
		eventually(t, "enough were granted", func() bool { return granted(t, dir, "tea") >= many })
		p.kill()
		p = startLocal(t, dir, nil)
	}
	got := <-crowd
	t.Log(got.out)
	if got.code != exitOK || !strings.Contains(got.out, "granted             1,500") {
		t.Errorf("the crowd: exit code %d, %s", got.code, got.err)
	}
	if !strings.Contains(got.out, "needed more than one request") {
		t.Error("nobody noticed the kill: it came too late")
	}
	audit := mustRun(t, nil, "audit", "--data-dir", dir, "--answers", record)
	if !strings.Contains(audit.out, "1,500 grants") || !strings.Contains(audit.out, "3,000 answers") {
		t.Errorf("the audit compared too little: %s", audit.out)
	}
	t.Log(audit.out)
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d after SIGTERM: %s", code, p.output())
	}
}

func TestLocal_StoppedAndStartedAgain(t *testing.T) {
	dir := t.TempDir()
	p := startLocal(t, dir, nil)
	mustRun(t, nil, "--data-dir", dir, "coupon", "put", "tea", "--limit", "3")
	first := mustRun(t, nil, "--data-dir", dir, "claim", "tea", "ada", "--wait", "10s")
	pending := mustRun(t, nil, "--data-dir", dir, "claim", "tea", "bob", "--wait", "10s")
	_, id, _ := strings.Cut(pending.out, "claim ")
	before, err := endpoint.Read(endpoint.Path(dir))
	if err != nil {
		t.Fatal(err)
	}

	t.Run("one at a time", func(t *testing.T) {
		second := launch(t, dir, nil)
		<-second.done
		if code := second.cmd.ProcessState.ExitCode(); code != exitFailure || !strings.Contains(second.output(), "in use by another `firstcome local`") {
			t.Errorf("exit code %d: %s", code, second.output())
		}
	})
	if code := p.stop(); code != exitOK {
		t.Fatalf("exit code %d after SIGTERM: %s", code, p.output())
	}
	if got := run(t, nil, "--data-dir", dir, "coupon", "list"); got.code != exitFailure || !strings.Contains(got.err, "is `firstcome local` running?") {
		t.Errorf("while it is stopped: %+v", got)
	}
	p = startLocal(t, dir, nil)
	after, err := endpoint.Read(endpoint.Path(dir))
	if err != nil || after[endpoint.GatewayURL] != before[endpoint.GatewayURL] || after[endpoint.KafkaBrokers] != before[endpoint.KafkaBrokers] {
		t.Errorf("got %v, %v: the free ports were %v before", after, err, before)
	}
	if got := mustRun(t, nil, "--data-dir", dir, "claim", "--id", strings.TrimSpace(id)); got.out != pending.out {
		t.Errorf("a claim id of before: got %q, want %q", got.out, pending.out)
	}
	again := run(t, nil, "--data-dir", dir, "claim", "tea", "ada", "--wait", "10s")
	if want := strings.Replace(strings.SplitN(first.out, "\n", 2)[0], "granted: sequence", "refused: already_issued, with sequence", 1); !strings.HasPrefix(again.out, want) {
		t.Errorf("a person of before: got %q, want %q", again.out, want)
	}
	mustRun(t, nil, "--data-dir", dir, "coupon", "close", "tea")
	if got := run(t, nil, "--data-dir", dir, "claim", "tea", "cyd", "--wait", "10s"); !strings.HasPrefix(got.out, "refused: closed") {
		t.Errorf("a closed coupon: got %+v", got)
	}
	mustRun(t, nil, "--data-dir", dir, "audit")
	p.stop()
}

// On servers that are given, embedded or in containers: Redis is emptied in the middle, and all the while somebody audits.
func TestLocal_GivenServers(t *testing.T) {
	servers := coupontest.Start(t)
	dir, record := t.TempDir(), filepath.Join(t.TempDir(), "answers.ndjson")
	env := []string{"KAFKA_TOPIC_PREFIX=" + servers.TopicPrefix, "REDIS_PREFIX=" + servers.RedisPrefix}
	p := startLocal(t, dir, env, "--partitions", "3", "--kafka", strings.Join(servers.Brokers, ","), "--redis", servers.RedisAddr, "--postgres", servers.DatabaseURL)
	crowd := crowdOf(t, nil, "--data-dir", dir, "--coupon", "tea", "--limit", "500", "--people", "2000", "--record", record)
	eventually(t, "some were granted", func() bool { return granted(t, dir, "tea") >= 100 })
	servers.FlushRedis(t)
	got, audits := auditUntil(t, dir, crowd)
	t.Logf("%s%d audits meanwhile", got.out, audits)
	if got.code != exitOK || !strings.Contains(got.out, "granted               500") {
		t.Errorf("the crowd: exit code %d, %s", got.code, got.err)
	}
	t.Log(mustRun(t, nil, "audit", "--data-dir", dir, "--answers", record).out)
	if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
		t.Error("it started a Postgres of its own, though it was given one")
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d after SIGTERM: %s", code, p.output())
	}
}

// auditUntil audits, over and over, until the crowd is done: what is on its way is no difference.
func auditUntil(t *testing.T, dir string, crowd chan ran) (got ran, audits int) {
	for {
		select {
		case got = <-crowd:
			return got, audits
		default:
			if a := run(t, nil, "audit", "--data-dir", dir); a.code != exitOK {
				t.Errorf("an audit while people ask: %s%s", a.out, a.err)
				return <-crowd, audits
			}
			audits++
		}
	}
}

// Whoever can be reached from elsewhere asks for tokens.
func TestLocal_Tokens(t *testing.T) {
	servers := coupontest.Start(t)
	given := []string{"--partitions", "1", "--kafka", strings.Join(servers.Brokers, ","), "--redis", servers.RedisAddr, "--postgres", servers.DatabaseURL, "--gateway-addr", "0.0.0.0:0"}
	env := []string{"KAFKA_TOPIC_PREFIX=" + servers.TopicPrefix, "REDIS_PREFIX=" + servers.RedisPrefix}
	refused := launch(t, t.TempDir(), env, given...)
	<-refused.done
	for _, name := range []string{"ADMIN_TOKENS is required", "CLAIM_TOKENS is required"} {
		if !strings.Contains(refused.output(), name) {
			t.Errorf("said %q, want %q", refused.output(), name)
		}
	}
	dir := t.TempDir()
	p := startLocal(t, dir, append(env, "ADMIN_TOKENS=ops=s3cret", "CLAIM_TOKENS=shop=t0ken"), given...)
	if got := run(t, nil, "--data-dir", dir, "coupon", "put", "tea", "--limit", "3"); got.code != exitFailure || !strings.Contains(got.err, "unauthorized") {
		t.Errorf("without a token: %+v", got)
	}
	with := map[string]string{"ADMIN_TOKEN": "s3cret", "CLAIM_TOKEN": "t0ken"}
	mustRun(t, with, "--data-dir", dir, "coupon", "put", "tea", "--limit", "3")
	mustRun(t, with, "--data-dir", dir, "claim", "tea", "ada", "--wait", "10s")
	p.stop()
}

// Postgres is a process of its own, so it can end alone.
func TestLocal_PostgresEnds(t *testing.T) {
	dir := t.TempDir()
	p := startLocal(t, dir, nil)
	mustRun(t, nil, "--data-dir", dir, "coupon", "put", "tea", "--limit", "3")
	line, err := os.ReadFile(postmaster(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(line), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != exitFailure || !strings.Contains(p.output(), "the embedded Postgres has ended") {
		t.Errorf("exit code %d: %s", code, p.output())
	}
	p = startLocal(t, dir, nil)
	mustRun(t, nil, "--data-dir", dir, "claim", "tea", "ada", "--wait", "10s")
	mustRun(t, nil, "--data-dir", dir, "audit")
	p.stop()
}

// postmaster is the file in which Postgres keeps its process id; for root its data may be outside of the data folder.
func postmaster(t *testing.T, dir string) string {
	t.Helper()
	found, err := endpoint.Read(endpoint.Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	db, err := pgx.Connect(t.Context(), found[endpoint.DatabaseURL])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	var data string
	if err := db.QueryRow(t.Context(), "SHOW data_directory").Scan(&data); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(data, "postmaster.pid")
}

func TestLocal_PortTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	p := launch(t, t.TempDir(), nil, "--ledger-addr", "127.0.0.1:"+port)
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != exitFailure || !strings.Contains(p.output(), "--ledger-addr gives another address") {
		t.Errorf("exit code %d: %s", code, p.output())
	}
}

func TestDemo(t *testing.T) {
	out, err := exec.Command(firstcome, "demo").CombinedOutput()
	if err != nil {
		t.Errorf("the demo: %v", err)
	}
	for _, want := range []string{"2,000 people ask", "granted               100", "unanswered              0", "audit: no difference; the log leads to 1 definition and 100 grants"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the demo did not say %q:\n%s", want, out)
		}
	}
}
