package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/cli/internal/letter"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// post is a place on the servers where a test writes records by hand.
type post struct {
	t       *testing.T
	servers *coupontest.Servers
	env     map[string]string
	at      time.Time // of what it buries
}

const postPartitions = 3

func newPost(t *testing.T, servers *coupontest.Servers) post {
	t.Helper()
	servers.CreateTopics(t, postPartitions)
	p := post{t, servers, make(map[string]string), time.Now().Add(-time.Hour)}
	for _, pair := range servers.Env() {
		name, value, _ := strings.Cut(pair, "=")
		p.env[name] = value
	}
	return p
}

// write gives the offset.
func (p post) write(topic string, partition int32, m event.Message) int64 {
	p.t.Helper()
	to, err := producer.New(producer.Config{Client: p.servers.Kafka(p.t), Topic: p.servers.TopicPrefix + topic})
	if err != nil {
		p.t.Fatal(err)
	}
	acks, err := to.PublishTo(p.t.Context(), partition, m)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := to.Close(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	return acks[0].Offset
}

// requests are all records of a partition of the requests topic.
func (p post) requests(partition int32) (all []event.Record) {
	p.t.Helper()
	client := p.servers.Kafka(p.t)
	topic := client.Config().Topic(event.TopicRequests)
	_, end, err := client.Bounds(p.t.Context(), topic, partition)
	if err != nil {
		p.t.Fatal(err)
	}
	f := consumer.NewFetcher(client, topic, partition, consumer.FetchConfig{})
	defer f.Close()
	for next := int64(0); next < end; {
		got, err := f.Fetch(p.t.Context(), next)
		if err != nil {
			p.t.Fatal(err)
		}
		all, next = append(all, got.Records...), got.Next
	}
	return all
}

func (p post) deadLetters(args ...string) ran {
	p.t.Helper()
	return run(p.t, p.env, append([]string{"dead-letters"}, args...)...)
}

func (p post) claim(user string) event.Message {
	p.t.Helper()
	m, err := event.ClaimRequested{CouponID: "tea", UserID: user}.Message(event.Meta{ID: "id-of-" + user, Source: "/test", CorrelationID: "c-" + user})
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// bury writes the dead letter of a record at an offset of a partition in which it does not belong.
func (p post) bury(topic string, offset int64, m event.Message, reason event.Reason) {
	p.t.Helper()
	p.write(event.TopicDeadLetters, 0, event.DeadLetter(event.Record{
		Topic: p.servers.TopicPrefix + topic, Partition: elsewhere(), Offset: offset, LastOffset: offset, Time: p.at,
		Key: m.Key, Value: m.Value, Headers: m.Headers,
	}, reason, "so it was"))
}

func home() int32      { return event.Partition("tea", postPartitions) }
func elsewhere() int32 { return (home() + 1) % postPartitions }

func TestDeadLetters_List(t *testing.T) {
	p := newPost(t, coupontest.Start(t, coupontest.Kafka))
	if got := p.deadLetters("list"); got != (ran{exitOK, "no dead letter, or none that is meant\n", ""}) {
		t.Errorf("an empty topic: %+v", got)
	}
	for n := range int64(4) {
		p.bury(event.TopicRequests, n, p.claim("ada"), event.ReasonWrongPartition)
	}
	p.bury(event.TopicGrants, 9, p.claim("ada"), event.ReasonUniqueViolation)
	for _, c := range []struct {
		args  string
		lines int
	}{
		{"", 1 + 5}, {"--limit 2", 1 + 2 + 1}, {"--limit 0", 1 + 5}, {"--topic coupon.grants", 1 + 1}, {"--topic coupon.requests", 1 + 4},
		{"--reason wrong_partition,invalid", 1 + 4}, {"--reason invalid --reason unique_violation", 1 + 1}, {"--coupon milk", 1}, {"--since 5m", 1}, {"--since 2h --coupon tea", 1 + 5},
		{"--partition " + strconv.Itoa(int(home())), 1}, {"--since 2020-01-01T00:00:00Z --limit 1", 1 + 1 + 1},
	} {
		got := p.deadLetters(append([]string{"list"}, strings.Fields(c.args)...)...)
		if got.code != exitOK || strings.Count(got.out, "\n") != c.lines || strings.Contains(got.out, "ada") {
			t.Errorf("list %s: %+v, want %d lines and no person", c.args, got, c.lines)
		}
	}
	if got := p.deadLetters("list", "--limit", "2"); !strings.HasSuffix(got.out, "the newest 2 of 5: --limit 0 shows all\n") || !strings.Contains(got.out, "\n4       ") {
		t.Errorf("a limit: %s", got.out)
	}
	if got := p.deadLetters("list", "--show", "--limit", "1"); !strings.Contains(got.out, "  value  "+`{"coupon_id":"tea","user_id":"ada"}`) {
		t.Errorf("--show: %s", got.out)
	}
	got := p.deadLetters("list", "--json")
	for n, text := range strings.Split(strings.TrimSpace(got.out), "\n") {
		var line struct{ Offset, Copies int }
		if err := json.Unmarshal([]byte(text), &line); err != nil || line.Offset != n || line.Copies != 1 {
			t.Errorf("--json wrote %s, %v", text, err)
		}
	}
}

func TestDeadLetters_Replay(t *testing.T) {
	p := newPost(t, coupontest.Start(t, coupontest.Kafka))
	good := p.claim("ada")
	p.bury(event.TopicRequests, 7, good, event.ReasonWrongPartition)
	p.bury(event.TopicRequests, 7, good, event.ReasonWrongPartition)
	p.bury(event.TopicRequests, 8, event.Message{Key: []byte("tea"), Value: []byte("garbage"), Headers: good.Headers}, event.ReasonMalformed)
	p.bury(event.TopicRequests, 9, event.Message{Key: []byte("tea"), Value: bytes.Repeat([]byte("x"), 600_000), Headers: good.Headers}, event.ReasonMalformed)
	p.bury(event.TopicGrants, 10, good, event.ReasonUniqueViolation)
	topic := p.servers.TopicPrefix + event.TopicRequests
	for _, c := range []struct {
		args string
		code int
		say  []string
		sent int
	}{
		{"--reason wrong_partition --dry-run", exitOK, []string{fmt.Sprintf("dead letter 1 (%s/%d/7, wrong_partition): would be sent to %s/%d: a claim for coupon tea\nif it were no dry run: 1 sent, 0 not\n", topic, elsewhere(), topic, home())}, 0},
		{"--reason too_large --yes", exitOK, []string{"0 sent, 0 not\n"}, 0},
		{"--offset 0", exitOK, []string{fmt.Sprintf("sent to %s/%d/0: a claim for coupon tea\n1 sent, 0 not\n", topic, home())}, 1},
		{"--offset 0,1", exitOK, []string{fmt.Sprintf("sent to %s/%d/1", topic, home()), "1 sent, 0 not\n"}, 1},
		{"--offset 2", exitFailure, []string{"not sent: it would be refused again, as malformed: ", "0 sent, 1 not\n"}, 0},
		{"--offset 2 --force", exitOK, []string{"a record that will be refused as malformed\n1 sent, 0 not\n"}, 1},
		{"--offset 3 --force", exitFailure, []string{fmt.Sprintf("not sent: its value was cut from 600000 bytes; the whole is only at %s/%d/9, as long as that topic keeps it\n", topic, elsewhere())}, 0},
		{"--offset 4 --force", exitFailure, []string{"not sent: it is of the journal, which contradicts what the ledger has stored: an operator has to look at both\n"}, 0},
		{"--offset 99,1", exitFailure, []string{"dead letter 99: not sent: there is nothing at that offset\n", "1 sent, 1 not\n"}, 1},
		{"--coupon tea --yes", exitFailure, []string{"1 sent, 3 not\n"}, 1},
	} {
		before := len(p.requests(home()))
		got := p.deadLetters(append([]string{"replay"}, strings.Fields(c.args)...)...)
		for _, say := range c.say {
			if got.code != c.code || !strings.Contains(got.out, say) || got.err != "" {
				t.Errorf("replay %s: %+v\nwant exit code %d and %q", c.args, got, c.code, say)
			}
		}
		if sent := len(p.requests(home())) - before; sent != c.sent {
			t.Errorf("replay %s: %d records more, want %d", c.args, sent, c.sent)
		}
	}
	checkAsItCame(t, p.requests(home())[0], good)
	if others := len(p.requests(elsewhere())); others > 0 {
		t.Errorf("%d records went to another partition", others)
	}
}

// A replay that can't begin says how many it did not try.
func TestDeadLetters_ReplayCannotBegin(t *testing.T) {
	servers := coupontest.Start(t, coupontest.Kafka) // without topics
	var out strings.Builder
	a := &app{System: System{Out: &out}}
	got, err := a.replay(t.Context(), letter.Box{Client: servers.Kafka(t)}, make([]letter.Entry, 3), letter.Replay{})
	if !errors.Is(err, broker.ErrNoTopic) || got != (letter.Tally{Left: 3}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func checkAsItCame(t *testing.T, got event.Record, want event.Message) {
	t.Helper()
	if !bytes.Equal(got.Key, want.Key) || !bytes.Equal(got.Value, want.Value) || fmt.Sprint(got.Headers) != fmt.Sprint(want.Headers) {
		t.Errorf("the request is %q %q %v\nwant %q %q %v", got.Key, got.Value, got.Headers, want.Key, want.Value, want.Headers)
	}
}

// A person whose claim somebody wrote into a wrong partition gets the coupon after all, once, and behind those who asked
// meanwhile; everything stays as the log says.
func TestDeadLetters_ReplayIsDecided(t *testing.T) {
	p := newPost(t, coupontest.Start(t))
	dir := t.TempDir()
	local := startLocal(t, dir, p.servers.Env(), "--kafka", strings.Join(p.servers.Brokers, ","), "--redis", p.servers.RedisAddr, "--postgres", p.servers.DatabaseURL)
	at := func(args ...string) ran {
		t.Helper()
		return run(t, nil, append([]string{"--data-dir", dir}, args...)...)
	}
	mustRun(t, nil, "--data-dir", dir, "coupon", "put", "tea", "--limit", "10")
	p.write(event.TopicRequests, elsewhere(), p.claim("ada"))
	p.write(event.TopicRequests, elsewhere(), event.Message{Key: []byte("tea"), Value: []byte("garbage")})
	mustRun(t, nil, "--data-dir", dir, "claim", "tea", "bob", "--wait", "10s")
	eventually(t, "both are dead letters", func() bool { return strings.Count(p.deadLetters("list").out, "\n") == 1+2 })

	for n := range 2 { // the second time is harmless
		got := p.deadLetters("replay", "--topic", event.TopicRequests, "--yes")
		if got.code != exitFailure || !strings.Contains(got.out, "1 sent, 1 not") || !strings.Contains(got.out, "it would be refused again, as not_cloudevent") {
			t.Errorf("replay %d: %+v", n, got)
		}
	}
	eventually(t, "ada has one too", func() bool { return granted(t, dir, "tea") == 2 })
	if got := at("claim", "tea", "ada", "--wait", "10s"); !strings.HasPrefix(got.out, "refused: already_issued, with sequence 2") {
		t.Errorf("ada: %+v, want her grant behind bob's", got)
	}
	if got := at("audit"); got.code != exitOK || !strings.Contains(got.out, "2 grants") || !strings.Contains(got.out, "2 dead letters") {
		t.Errorf("the audit: %+v", got)
	}
	local.stop()
}
