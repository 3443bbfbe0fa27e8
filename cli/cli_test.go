package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firstcome/firstcome/cli/internal/client"
	"github.com/firstcome/firstcome/cli/internal/crowd"
)

// ran is what a command left behind.
type ran struct {
	code     int
	out, err string
}

func run(t *testing.T, env map[string]string, args ...string) ran {
	t.Helper()
	var out, errs strings.Builder
	code := Run(t.Context(), args, System{Out: &out, Err: &errs, Getenv: func(name string) string { return env[name] }})
	return ran{code, out.String(), errs.String()}
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args string
		code int
		say  string
	}{
		{"", exitOK, ""},
		{"--help", exitOK, ""},
		{"nonsense", exitUsage, `unknown command "nonsense"`},
		{"coupon", exitUsage, "coupon needs one of put, get, list, close"},
		{"coupon get", exitUsage, "accepts 1 arg(s), received 0"},
		{"coupon put tea", exitUsage, "--limit is missing"},
		{"coupon put tea --limit ten", exitUsage, "invalid argument"},
		{"coupon put tea --limit 1 --opens-at tomorrow", exitUsage, `--opens-at "tomorrow" is neither a time`},
		{"claim tea", exitUsage, "claim needs COUPON and USER, or --id alone"},
		{"claim tea ada --id x", exitUsage, "claim needs COUPON and USER, or --id alone"},
		{"load --people 0", exitUsage, "--people must be from 1 to 10000000"},
		{"load --people 10000001", exitUsage, "--people must be from 1 to 10000000"},
		{"load --rate -1", exitUsage, "--rate must be from 0.01 to 1000000 claims a second"},
		{"load --rate 1e9", exitUsage, "--rate must be from 0.01 to 1000000 claims a second"},
		{"load --rate NaN", exitUsage, "--rate must be from 0.01 to 1000000 claims a second"},
		{"load --rate fast", exitUsage, "invalid argument"},
		{"load --duration 1m", exitUsage, "--duration needs --rate"},
		{"load --rate 0 --duration 1m", exitUsage, "--duration needs --rate"},
		{"load --rate 5 --duration 1m --people 3", exitUsage, "--duration and --people both say how many ask"},
		{"load --rate 5 --duration -1s", exitUsage, "--duration must be longer than nothing"},
		{"load --rate 1000000 --duration 1h", exitUsage, "are more than 10000000 people"},
		{"load --give-up 0s", exitUsage, "--give-up must be longer than nothing"},
		{"load --gateway http://a,b:8080", exitFailure, `GATEWAY_URL: "b:8080" is no http:// or https:// URL`},
		{"load --gateway ,", exitFailure, "GATEWAY_URL names no gateway"},
		{"load --concurrency 0", exitUsage, "--concurrency must be at least 1"},
		{"topics", exitUsage, "topics needs create"},
		{"topics create --partitions 5000", exitUsage, "--partitions must be from 1 to 4096"},
		{"local --partitions 0", exitUsage, "--partitions must be from 1 to 4096"},
		{"compare --people 0", exitUsage, "--people must be from 1 to 10000000"},
		{"compare --limit 0", exitUsage, "--limit must be from 1 to 100000000"},
		{"compare --servers 0", exitUsage, "--servers must be from 1 to 64"},
		{"compare --concurrency 0", exitUsage, "--concurrency must be from 1 to 20000"},
		{"compare --strategy script,luck", exitUsage, `--strategy "luck" is none of script, recheck, queue, queue-plain, lock, lock-plain, postgres, log`},
		{"compare --strategy=", exitUsage, "--strategy names none of script"},
		{"compare --postgres host=db", exitUsage, "--postgres must be a URL"},
		{"compare --html " + filepath.Join(dir, "none", "x.html"), exitFailure, "no such file or directory"},
		{"compare --html " + dir, exitUsage, "--html " + dir + " is a folder, and must be a file"},
		{"compare script", exitUsage, `unknown command "script"`},
		{"audit --kafak x", exitUsage, "unknown flag: --kafak"},
		{"audit --answers " + filepath.Join(dir, "none"), exitFailure, "no such file"},
		{"dead-letters", exitUsage, "dead-letters needs one of list, replay"},
		{"dead-letters list --reason wrong", exitUsage, `--reason "wrong" is none of [malformed not_cloudevent unknown_type invalid wrong_partition`},
		{"dead-letters list --partition -1", exitUsage, "--partition must not be negative"},
		{"dead-letters list --since yesterday", exitUsage, `--since "yesterday" is neither a time`},
		{"dead-letters list --limit -1", exitUsage, "--limit must not be negative"},
		{"dead-letters list", exitFailure, "no KAFKA_BROKERS: not given by a flag"},
		{"dead-letters replay", exitUsage, "dead-letters replay needs --offset, or filters and --yes"},
		{"dead-letters replay --yes", exitUsage, "dead-letters replay needs --offset, or filters and --yes"},
		{"dead-letters replay --coupon tea", exitUsage, "filters need --yes; --dry-run shows what would be sent"},
		{"dead-letters replay --coupon tea --offset 3 --yes", exitUsage, "--offset and filters both say which are meant"},
		{"dead-letters replay --offset x", exitUsage, "invalid argument"},
		{"audit", exitFailure, "no KAFKA_BROKERS, REDIS_ADDR, DATABASE_URL: not given by a flag"},
		{"coupon list", exitFailure, "no GATEWAY_URL: not given by a flag"},
		{"topics create --kafka nowhere", exitFailure, `"nowhere" is not host:port`},
	} {
		got := run(t, nil, append([]string{"--data-dir", dir}, strings.Fields(c.args)...)...)
		if got.code != c.code || !strings.Contains(got.err, c.say) || strings.Count(got.err, "\n") > 1 {
			t.Errorf("firstcome %s: exit code %d, said %q; want %d and one line with %q", c.args, got.code, got.err, c.code, c.say)
		}
	}
}

func TestHelp_HasExamples(t *testing.T) {
	for _, command := range []string{"", "local", "demo", "topics create", "coupon put", "coupon get", "coupon list", "coupon close", "claim", "load", "audit", "compare", "dead-letters list", "dead-letters replay"} {
		if got := run(t, nil, append(strings.Fields(command), "--help")...); !strings.Contains(got.out, "Examples:\n  firstcome ") {
			t.Errorf("firstcome %s --help has no example", command)
		}
	}
}

// People come at a rate, by two gateways, of which the first is gone: those who tried it go on at the second.
func TestLoad_Rate(t *testing.T) {
	env, _ := gateway(t, map[string]string{
		"PUT /v1/coupons/tea":         "201 " + strings.Replace(tea, "997", "0", 1),
		"POST /v1/coupons/tea/claims": `409 {"type":"https://firstcome.dev/problems/sold-out"}`,
	})
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	record := filepath.Join(t.TempDir(), "answers.ndjson")
	got := run(t, env, "load", "--gateway", "http://"+gone.Addr().String()+", "+env["GATEWAY_URL"]+"/", "--coupon", "tea", "--limit", "1000",
		"--rate", "500", "--duration", "50ms", "--record", record)
	if got.code != exitOK || !strings.Contains(got.out, "25 people ask, 500 a second") || !strings.Contains(got.out, "13 needed more than one request") {
		t.Errorf("got %+v", got)
	}
	lines, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	var answers []crowd.Record
	for line := range bytes.Lines(lines) {
		var a crowd.Record
		if err := json.Unmarshal(line, &a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if len(answers) != 25 {
		t.Fatalf("recorded %d answers", len(answers))
	}
	for i, a := range answers {
		if due := answers[0].DueAt.Add(time.Duration(i) * 2 * time.Millisecond); !a.DueAt.Equal(due) || a.AskedAt.Before(due) || a.AnsweredAt.Before(a.AskedAt) || a.Outcome != "sold_out" {
			t.Errorf("%d: got %+v, due %v", i, a, due)
		}
	}
}

// gateway answers by path, and tells what it was asked last.
func gateway(t *testing.T, answers map[string]string) (env map[string]string, asked func() string) {
	var last atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		request := r.Method + " " + r.URL.Path
		last.Store(strings.TrimSpace(fmt.Sprintf("%s %s %s", request, r.Header.Get("Authorization"), body)))
		status, answer, _ := strings.Cut(answers[request], " ")
		code := http.StatusNotFound
		if answer != "" {
			_, _ = fmt.Sscan(status, &code)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return map[string]string{"GATEWAY_URL": server.URL, "ADMIN_TOKEN": "boss", "CLAIM_TOKEN": "shop"}, func() string {
		asked, _ := last.Load().(string)
		return asked
	}
}

const tea = `{"coupon_id":"tea","limit":1000,"granted":3,"remaining":997,"status":"open","window":"none","current_window":"","time_zone":"UTC","opens_at":"2026-11-22T10:00:00.000Z"}`

func TestCoupon(t *testing.T) {
	env, asked := gateway(t, map[string]string{
		"PUT /v1/coupons/tea": "201 " + tea, "GET /v1/coupons/tea": "200 " + tea,
		"GET /v1/coupons":      `200 {"coupons":[` + tea + `,{"coupon_id":"lunch","limit":50,"granted":50,"remaining":0,"status":"sold_out","window":"daily","current_window":"2026-11-22","time_zone":"Asia/Seoul"}],"next":null}`,
		"GET /v1/coupons/milk": `404 {"type":"https://firstcome.dev/problems/unknown-coupon","detail":"no such coupon","correlation_id":"c"}`,
	})
	const one = `  status     open
  limit      1,000
  granted    3
  remaining  997
  window     none
  time zone  UTC
  opens at   2026-11-22T10:00:00Z
`
	for _, c := range []struct {
		args string
		want ran
		ask  string
	}{
		{"coupon put tea --limit 1000", ran{exitOK, "coupon tea created\n\n" + one, ""}, `PUT /v1/coupons/tea Bearer boss {"limit":1000,"window":"none","time_zone":"UTC"}`},
		{"coupon get tea", ran{exitOK, one, ""}, "GET /v1/coupons/tea"},
		{"coupon list", ran{exitOK, "COUPON  STATUS    LIMIT  GRANTED  REMAINING  WINDOW\ntea     open      1,000  3        997        none\nlunch   sold_out  50     50       0          2026-11-22\n", ""}, "GET /v1/coupons"},
		{"coupon get milk", ran{exitFailure, "", "firstcome: unknown-coupon: no such coupon (status 404, correlation id c)\n"}, "GET /v1/coupons/milk"},
	} {
		got := run(t, env, strings.Fields(c.args)...)
		if got != c.want {
			t.Errorf("firstcome %s: got %+v\nwant %+v", c.args, got, c.want)
		}
		if last := asked(); last != c.ask {
			t.Errorf("firstcome %s asked %q, want %q", c.args, last, c.ask)
		}
	}
	if got := run(t, env, "coupon", "get", "tea", "--json"); !json.Valid([]byte(got.out)) {
		t.Errorf("--json printed %q", got.out)
	}
}

func TestClosed(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	before, after := now.Add(-time.Hour), now.Add(time.Hour)
	for _, c := range []struct {
		name  string
		opens *time.Time
		want  *time.Time
	}{{"opened", &before, &before}, {"not yet open", &after, nil}, {"always open", nil, nil}} {
		got := closed(client.Coupon{Limit: 3, Window: "daily", TimeZone: "UTC", OpensAt: c.opens, ClosesAt: &after}, now)
		if got.Limit != 3 || got.Window != "daily" || got.TimeZone != "UTC" || !got.ClosesAt.Equal(now) || got.OpensAt != c.want {
			t.Errorf("%s: got %+v", c.name, got)
		}
	}
}

func TestClaim(t *testing.T) {
	env, asked := gateway(t, map[string]string{
		"POST /v1/coupons/tea/claims":  `200 {"claim_id":"x","coupon_id":"tea","status":"granted","window":"2026-11-22","sequence":3,"grant_id":"g"}`,
		"POST /v1/coupons/gone/claims": `409 {"type":"https://firstcome.dev/problems/sold-out","claim_id":"x"}`,
		"POST /v1/coupons/had/claims":  `409 {"type":"https://firstcome.dev/problems/already-issued","grant":{"grant_id":"g","sequence":2,"window":""}}`,
		"POST /v1/coupons/slow/claims": `202 {"claim_id":"x","coupon_id":"slow","status":"pending","position":7}`,
		"POST /v1/coupons/held/claims": `409 {"type":"https://firstcome.dev/problems/duplicate-request","claim_id":"x"}`,
		"GET /v1/claims/x":             `200 {"status":"refused","outcome":"closed"}`,
		"GET /v1/claims/y":             `200 {"status":"refused","outcome":"already_issued","grant":{"grant_id":"g","sequence":2,"window":""}}`,
	})
	for _, c := range []struct {
		args string
		want ran
		ask  string
	}{
		{"claim tea ada --wait 5s", ran{exitOK, "granted: sequence 3 of 2026-11-22, grant g\nclaim x\n", ""}, `POST /v1/coupons/tea/claims Bearer shop {"user_id":"ada"}`},
		{"claim gone ada", ran{exitFailure, "refused: sold_out\nclaim x\n", ""}, ""},
		{"claim had ada", ran{exitFailure, "refused: already_issued, with sequence 2, grant g\n", ""}, ""},
		{"claim slow ada", ran{exitOK, "pending: at most 7 in front\nclaim x\n", ""}, ""},
		{"claim slow ada --wait 10s", ran{exitFailure, "refused: closed\nclaim x\n", ""}, "GET /v1/claims/x Bearer shop"},
		{"claim held ada", ran{exitFailure, "", "firstcome: duplicate-request (status 409); `firstcome claim --id x` tells what became of the first\n"}, ""},
		{"claim --id y", ran{exitFailure, "refused: already_issued, with sequence 2, grant g\nclaim y\n", ""}, ""},
		{"claim --id x", ran{exitFailure, "refused: closed\nclaim x\n", ""}, ""},
	} {
		if got := run(t, env, strings.Fields(c.args)...); got != c.want {
			t.Errorf("firstcome %s: got %+v\nwant %+v", c.args, got, c.want)
		}
		if last := asked(); c.ask != "" && last != c.ask {
			t.Errorf("firstcome %s asked %q, want %q", c.args, last, c.ask)
		}
	}
}

// A gateway that refuses everybody but the first: the load says what is wrong, and writes down what each was told.
func TestLoad_Judges(t *testing.T) {
	env, _ := gateway(t, map[string]string{
		"GET /v1/coupons/tea":         "200 " + strings.Replace(tea, "997", "2", 1),
		"POST /v1/coupons/tea/claims": `409 {"type":"https://firstcome.dev/problems/sold-out"}`,
	})
	record := filepath.Join(t.TempDir(), "answers.ndjson")
	got := run(t, env, "load", "--coupon", "tea", "--people", "5", "--record", record)
	if got.code != exitFailure || !strings.Contains(got.out, "WRONG: 0 were granted, and it should be exactly 2") || got.err != "" {
		t.Errorf("got %+v", got)
	}
	if lines, err := os.ReadFile(record); err != nil || strings.Count(string(lines), `"outcome":"sold_out"`) != 5 {
		t.Errorf("recorded %s, %v", lines, err)
	}
}

// Where the record can't be written, nobody asks for nothing.
func TestLoad_RecordFirst(t *testing.T) {
	env, asked := gateway(t, nil)
	record := filepath.Join(t.TempDir(), "none", "answers.ndjson")
	got := run(t, env, "load", "--coupon", "tea", "--limit", "5", "--people", "5", "--record", record)
	if got.code != exitFailure || !strings.Contains(got.err, record) || got.out != "" || asked() != "" {
		t.Errorf("got %+v, and the gateway was asked %q", got, asked())
	}
}
