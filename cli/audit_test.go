package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// still is a pipeline that has worked and was stopped: its servers stay as they are but for the hand of a test.
type still struct {
	t       *testing.T
	servers *coupontest.Servers
	env     map[string]string
	answers string
	db      *pgx.Conn
	redis   *redis.Client
	keys    redislayout.Keys
}

// newStill: a coupon of 20 among 60 people, a daily one, one defined twice, and a record that nobody can read.
func newStill(t *testing.T) *still {
	t.Helper()
	servers := coupontest.Start(t)
	s := &still{t: t, servers: servers, answers: filepath.Join(t.TempDir(), "answers.ndjson"), env: map[string]string{}, redis: servers.Redis(t)}
	for _, pair := range servers.Env() {
		name, value, _ := strings.Cut(pair, "=")
		s.env[name] = value
	}
	s.env["DATABASE_URL"] = readOnly(t, servers.DatabaseURL)
	s.keys = redislayout.New(servers.RedisPrefix, 0)
	servers.CreateTopics(t, 1)
	s.publish(event.TopicRequests, event.Message{Key: []byte("tea"), Value: []byte("garbage")})

	dir := t.TempDir()
	p := startLocal(t, dir, servers.Env(), "--kafka", strings.Join(servers.Brokers, ","), "--redis", servers.RedisAddr, "--postgres", servers.DatabaseURL)
	at := func(args ...string) { t.Helper(); mustRun(t, nil, append([]string{"--data-dir", dir}, args...)...) }
	at("load", "--coupon", "tea", "--limit", "20", "--people", "60", "--record", s.answers)
	at("coupon", "put", "lunch", "--limit", "2", "--window", "daily", "--time-zone", "Asia/Seoul")
	at("claim", "lunch", "ada", "--wait", "10s")
	at("coupon", "put", "lunch", "--limit", "3", "--window", "daily", "--time-zone", "Asia/Seoul", "--closes-at", "90h")
	at("audit")
	if code := p.stop(); code != exitOK {
		t.Fatalf("exit code %d: %s", code, p.output())
	}
	var err error
	if s.db, err = pgx.Connect(t.Context(), servers.DatabaseURL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close(context.Background()) })
	return s
}

// readOnly is a database in which nothing can be written.
func readOnly(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("default_transaction_read_only", "on")
	u.RawQuery = q.Encode()
	return u.String()
}

func (s *still) audit(args ...string) ran {
	s.t.Helper()
	return run(s.t, s.env, append([]string{"audit", "--timeout", "2s"}, args...)...)
}

func (s *still) sql(statement string) {
	s.t.Helper()
	tag, err := s.db.Exec(s.t.Context(), statement)
	if err != nil || tag.RowsAffected() == 0 {
		s.t.Fatalf("%s: %v, %v", statement, tag, err)
	}
}

func (s *still) do(args ...any) {
	s.t.Helper()
	if err := s.redis.Do(s.t.Context(), args...).Err(); err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
}

func (s *still) publish(topic string, messages ...event.Message) {
	s.t.Helper()
	client := s.servers.Kafka(s.t)
	p, err := producer.New(producer.Config{Client: client, Topic: client.Config().Topic(topic)})
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = p.PublishTo(s.t.Context(), 0, messages...)
	if err := closeProducer(p, err); err != nil {
		s.t.Fatal(err)
	}
}

func closeProducer(p *producer.Producer, err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if closed := p.Close(ctx); err == nil {
		err = closed
	}
	return err
}

// What the command says of servers on which one thing is changed by hand, and its exit codes. Each way in which something can
// differ is tried beside the package audit.
func TestAudit_NamesWhatWasChanged(t *testing.T) {
	s := newStill(t)
	if got := s.audit("--answers", s.answers); got.code != exitOK || got.err != "" || !strings.Contains(got.out, "60 answers") || !strings.Contains(got.out, "1 dead letter") {
		t.Fatalf("before anything was changed: %+v", got)
	}
	tea, person := s.keys.Granted("tea", ""), s.someone()
	entry := s.redis.HGet(t.Context(), tea, person).Val()
	sequence, source, _ := strings.Cut(entry, ":")
	row := fmt.Sprintf("coupon_id = 'tea' AND user_id = '%s'", person)

	s.sql("CREATE TABLE kept AS SELECT * FROM grants WHERE " + row)
	s.sql("DELETE FROM grants WHERE " + row)
	got := s.audit()
	for _, want := range []string{
		fmt.Sprintf(`postgres: the grant of coupon tea, sequence %s, to %q (source 0/%s) is missing: the log grants it (under-issue)`, sequence, person, source),
		"postgres: coupon_windows says that 20 were granted of coupon tea, and there are 19 rows",
		"audit: 2 differences;",
	} {
		if got.code != exitFailure || !strings.Contains(got.out, want) {
			t.Errorf("exit code %d, and it did not say %q:\n%s%s", got.code, want, got.out, got.err)
		}
	}
	s.sql("INSERT INTO grants SELECT * FROM kept")

	s.do("HDEL", tea, person)
	s.isJSON(person, sequence, source)
	s.couponsAlone()
	s.do("HSET", tea, person, entry)
	if got := s.audit(); got.code != exitOK {
		t.Errorf("put back, and still: %s", got.out)
	}
	s.answersAreCompared(t)
	s.appendsAreCompared(t)
}

// isJSON holds the document to its members, with a person missing in Redis.
func (s *still) isJSON(person, sequence, source string) {
	s.t.Helper()
	got := s.audit("--json")
	var doc map[string]any
	if err := json.Unmarshal([]byte(got.out), &doc); err != nil || got.code != exitFailure {
		s.t.Fatalf("exit code %d, %v: %s", got.code, err, got.out)
	}
	delete(doc["bounds"].([]any)[0].(map[string]any), "progress") // how often people had to ask is not always the same
	delete(doc["bounds"].([]any)[0].(map[string]any), "journal")
	delete(doc["bounds"].([]any)[0].(map[string]any), "ledger")
	for _, member := range []string{"requests", "journal"} {
		if n, _ := doc["compared"].(map[string]any)[member].(float64); n < 24 {
			s.t.Errorf("compared %v %s", n, member)
		}
		delete(doc["compared"].(map[string]any), member)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		s.t.Fatal(err)
	}
	want := fmt.Sprintf(`{"bounds":[{"log_start":0,"partition":0}],`+
		`"compared":{"answers":0,"archived":0,"dead_letters":1,"definitions":3,"duplicates":0,"grants":21,"partitions":1,"postgres_rows":24,"redis_coupons":2,"redis_people":20,"truncated":0,"unknown":0},`+
		`"differences":[{"coupon_id":"tea","kind":"missing","offset":%s,"partition":0,"place":"redis","sentence":"\"%s\" is missing in coupon tea, sequence %s (source 0/%s)","sequence":%s}],`+
		`"found":{"redis":1},"ok":false}`, source, person, sequence, source, sequence)
	if string(text) != want {
		s.t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

// couponsAlone looks at one coupon at a time, with a person missing in tea.
func (s *still) couponsAlone() {
	s.t.Helper()
	for _, c := range []struct {
		coupon string
		code   int
		want   string
	}{
		{"lunch", exitOK, "audit: no difference; the log leads to 2 definitions and 1 grant;"},
		{"tea", exitFailure, "audit: 1 difference; the log leads to 1 definition and 20 grants;"},
		{"milk", exitFailure, "firstcome: coupon milk is unknown: neither the log nor anything else has ever heard of it"},
		{"a b", exitUsage, `firstcome: --coupon "a b": `},
	} {
		if got := s.audit("--coupon", c.coupon); got.code != c.code || !strings.Contains(got.out+got.err, c.want) {
			s.t.Errorf("--coupon %s: %+v", c.coupon, got)
		}
	}
}

// someone holds a place of tea.
func (s *still) someone() string {
	s.t.Helper()
	people, err := s.redis.HKeys(s.t.Context(), s.keys.Granted("tea", "")).Result()
	if err != nil || len(people) != 20 {
		s.t.Fatalf("got %v, %v: twenty people hold tea", people, err)
	}
	return people[0]
}

func (s *still) answersAreCompared(t *testing.T) {
	told, err := os.ReadFile(s.answers)
	if err != nil {
		t.Fatal(err)
	}
	lie := strings.Replace(string(told), `"outcome":"sold_out"`, `"outcome":"granted","sequence":21`, 1)
	if err := os.WriteFile(s.answers, []byte(lie), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.audit("--answers", s.answers); got.code != exitFailure || !strings.Contains(got.out, "of coupon tea, sequence 21 was told granted, and has nothing") {
		t.Errorf("a lie: %+v", got)
	}
}

// What is appended to a topic can't be taken back, so these come last.
func (s *still) appendsAreCompared(t *testing.T) {
	forged := event.CouponGranted{
		GrantID: "00000000-0003-8000-8000-000000000000", CouponID: "tea", UserID: "eve", Sequence: 21, Limit: 21, RequestedAt: time.UnixMilli(1), LogTime: time.UnixMilli(1),
		Source: event.Source{Offset: 3},
	}
	m, err := forged.Message(event.Meta{Source: event.JournalSource(s.servers.TopicPrefix+event.TopicRequests, 0)})
	if err != nil {
		t.Fatal(err)
	}
	s.publish(event.TopicGrants, m)
	if got := s.audit(); got.code != exitFailure || !strings.Contains(got.out, "journal: ") || !strings.Contains(got.out, "source 0/3") {
		t.Errorf("a forged grant in the journal: %+v", got)
	}
	s.publish(event.TopicDeadLetters, event.DeadLetter(event.Record{Topic: s.servers.TopicPrefix + event.TopicRequests, Offset: 2, LastOffset: 2}, event.ReasonInvalid, ""))
	if got := s.audit(); !strings.Contains(got.out, "dead letters: the request at 0/2 is one (invalid), and it is a good one") {
		t.Errorf("a good request among the dead letters: %+v", got)
	}
	claim, err := event.ClaimRequested{CouponID: "tea", UserID: "late"}.Message(event.Meta{Source: "/test"})
	if err != nil {
		t.Fatal(err)
	}
	s.publish(event.TopicRequests, claim)
	if got := s.audit(); got.code != exitFailure || !strings.Contains(got.out, "after 2s the issuer has decided up to offset") {
		t.Errorf("a claim that nobody decides: %+v", got)
	}
}
