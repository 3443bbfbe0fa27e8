package cli

import (
	"context"
	"fmt"
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

// Whatever is changed by hand on the real servers is named, and only that: put back, the audit has nothing to say.
func TestAudit_NamesWhatWasChanged(t *testing.T) {
	s := newStill(t)
	if got := s.audit("--answers", s.answers); got.code != exitOK || !strings.Contains(got.out, "60 answers") || !strings.Contains(got.out, "1 dead letter") {
		t.Fatalf("before anything was changed: %+v", got)
	}
	tea, person := s.keys.Granted("tea", ""), s.someone()
	entry := s.redis.HGet(t.Context(), tea, person).Val()
	sequence, source := split(t, entry)
	grant := fmt.Sprintf(`the grant of coupon tea, sequence %s, to %q (source 0/%s)`, sequence, person, source)
	where := fmt.Sprintf("coupon_id = 'tea' AND user_id = '%s'", person)
	s.sql("CREATE TABLE kept AS SELECT * FROM grants WHERE " + where)

	for _, c := range []struct {
		name   string
		break_ func()
		want   []string
		mend   func()
	}{
		{"a row is gone", func() { s.sql("DELETE FROM grants WHERE " + where) },
			[]string{"postgres: " + grant + " is missing", "coupon_windows says that 20 were granted of coupon tea, and there are 19 rows"},
			func() { s.sql("INSERT INTO grants SELECT * FROM kept") }},
		{"a row is back with another sequence", func() { s.sql("UPDATE grants SET sequence = 999 WHERE " + where) },
			[]string{"postgres: " + grant + " is wrong: sequence is 999 and should be " + sequence}, func() { s.sql("UPDATE grants SET sequence = " + sequence + " WHERE " + where) }},
		{"a row is another person's", func() { s.sql("UPDATE grants SET user_id = 'eve' WHERE " + where) },
			[]string{`is wrong: user_id is "eve" and should be`}, func() { s.sql(fmt.Sprintf("UPDATE grants SET user_id = '%s' WHERE user_id = 'eve'", person)) }},
		{"a row with another grant id", func() { s.sql("UPDATE grants SET grant_id = gen_random_uuid() WHERE " + where) },
			[]string{grant + " has the grant id"}, func() { s.sql("DELETE FROM grants WHERE " + where); s.sql("INSERT INTO grants SELECT * FROM kept") }},
		{"a definition's row", func() { s.sql(`UPDATE definitions SET "limit" = 21 WHERE coupon_id = 'tea'`) },
			[]string{"postgres: the definition of coupon tea with limit 20", "limit is 21 and should be 20"}, func() { s.sql(`UPDATE definitions SET "limit" = 20 WHERE coupon_id = 'tea'`) }},
		{"the ledger's offset", func() { s.sql("UPDATE ledger_offsets SET highest_source = highest_source - 1") },
			[]string{"ledger_offsets has the highest source"}, func() { s.sql("UPDATE ledger_offsets SET highest_source = highest_source + 1") }},
		{"a ledger that is behind", func() { s.sql("UPDATE ledger_offsets SET next_offset = next_offset - 1") },
			[]string{"after 2s the ledger is at journal offset"}, func() { s.sql("UPDATE ledger_offsets SET next_offset = next_offset + 1") }},
		{"a sum", func() { s.sql("UPDATE coupon_windows SET granted = 7 WHERE coupon_id = 'lunch'") },
			[]string{"coupon_windows says that 7 were granted of coupon lunch, window"}, func() { s.sql("UPDATE coupon_windows SET granted = 1 WHERE coupon_id = 'lunch'") }},

		{"a sum's times", func() {
			s.sql("UPDATE coupon_windows SET last_requested_at = last_requested_at + '1 s'::interval WHERE coupon_id = 'lunch'")
		},
			[]string{"coupon_windows has, for coupon lunch, window"}, func() {
				s.sql("UPDATE coupon_windows SET last_requested_at = last_requested_at - '1 s'::interval WHERE coupon_id = 'lunch'")
			}},

		{"a person is gone from Redis", func() { s.do("HDEL", tea, person) },
			[]string{fmt.Sprintf("redis: %q is missing in coupon tea, sequence %s (source 0/%s)", person, sequence, source)}, func() { s.do("HSET", tea, person, entry) }},
		{"a person has another sequence", func() { s.do("HSET", tea, person, "99:"+source) },
			[]string{fmt.Sprintf("redis: %q has %q in coupon tea, and should have sequence %s", person, "99:"+source, sequence)}, func() { s.do("HSET", tea, person, entry) }},
		{"someone who was never granted", func() { s.do("HSET", tea, "eve", "21:3") },
			[]string{`redis: "eve" has "21:3" in coupon tea, which the log does not lead to`}, func() { s.do("HDEL", tea, "eve") }},
		{"a counter", func() { s.do("HINCRBY", s.keys.Coupon("tea"), "total", 1) },
			[]string{"coupon tea has total 21, and it should be 20"}, func() { s.do("HINCRBY", s.keys.Coupon("tea"), "total", -1) }},
		{"a day that is not to be dropped", func() { s.do("RENAME", s.keys.Retire(), "kept") },
			[]string{"nothing says that the people of lunch:"}, func() { s.do("RENAME", "kept", s.keys.Retire()) }},
		{"a key of a refused claim", func() { s.do("SET", s.keys.Granted("milk", "")+"x", "1") },
			[]string{"milk:x", "belongs to nothing"}, func() { s.do("DEL", s.keys.Granted("milk", "")+"x") }},
		{"Redis is emptied, and no issuer runs", func() { s.do("RENAME", s.keys.Progress(), "kept") },
			[]string{"after 2s Redis has no progress"}, func() { s.do("RENAME", "kept", s.keys.Progress()) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.break_()
			got := s.audit()
			c.mend()
			if got.code != exitFailure {
				t.Errorf("exit code %d, want 1", got.code)
			}
			for _, want := range c.want {
				if !strings.Contains(got.out, want) {
					t.Errorf("the audit did not say %q:\n%s%s", want, got.out, got.err)
				}
			}
			if again := s.audit(); again.code != exitOK {
				t.Errorf("put back, and still: %s", again.out)
			}
		})
	}
	s.answersAreCompared(t)
	s.appendsAreCompared(t)
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

func split(t *testing.T, entry string) (sequence, source string) {
	t.Helper()
	sequence, source, ok := strings.Cut(entry, ":")
	if !ok {
		t.Fatalf("%q is no entry", entry)
	}
	return sequence, source
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
		GrantID: "0000000f-4240-8000-8000-000000000000", CouponID: "tea", UserID: "eve", Sequence: 21, Limit: 21, RequestedAt: time.UnixMilli(1), LogTime: time.UnixMilli(1),
		Source: event.Source{Offset: 3},
	}
	forged.GrantID = "00000000-0003-8000-8000-000000000000"
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
