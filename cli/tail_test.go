package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// meta is that of the journal record that came from a request of tea's partition, so many seconds after noon.
func (p post) meta(source int64) event.Meta {
	place := uint64(source)<<16 | 8<<12 | uint64(home())
	return event.Meta{
		ID:     fmt.Sprintf("%08x-%04x-%04x-8000-000000000000", place>>32, place>>16&0xffff, place&0xffff),
		Source: event.JournalSource(p.servers.TopicPrefix+event.TopicRequests, home()), CorrelationID: fmt.Sprintf("c-%d", source),
	}
}

func (p post) granted(source int64, user string, sequence int64) event.Message {
	p.t.Helper()
	at := noon.Add(time.Duration(source) * time.Second)
	m, err := event.CouponGranted{
		GrantID: p.meta(source).ID, CouponID: "tea", UserID: user, Sequence: sequence, Limit: 9, RequestedAt: at, LogTime: at,
		Source: event.Source{Partition: home(), Offset: source},
	}.Message(p.meta(source))
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

func (p post) defined(source int64) event.Message {
	p.t.Helper()
	at := noon.Add(time.Duration(source) * time.Second)
	m, err := event.CouponDefined{
		CouponID: "tea", Limit: 9, Window: event.WindowNone, TimeZone: "Asia/Seoul", ClosesAt: noon.Add(time.Hour), RequestedAt: at, LogTime: at,
		Source: &event.Source{Partition: home(), Offset: source},
	}.Message(p.meta(source))
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// newer is a journal record of a type that only a later version knows.
func (p post) newer(source int64, value string) event.Message {
	m := p.granted(source, "x", 1)
	for i, h := range m.Headers {
		if h.Key == "ce_type" {
			m.Headers[i].Value = []byte("firstcome.coupon.returned")
		}
	}
	m.Value = []byte(value)
	return m
}

// journal writes a definition, three grants of which one comes twice, late, a record of a later version, and what is none.
func (p post) journal() {
	p.t.Helper()
	for _, m := range []event.Message{
		p.defined(1), p.granted(2, "ada", 1), p.granted(3, "bob", 2), p.granted(2, "ada", 1), p.newer(5, `{"user_id":"ada","why":"x\u001b"}`),
		{Key: []byte("tea\x1b"), Value: []byte("\xff"), Time: noon.Add(6 * time.Second)}, p.granted(7, "cyd\u00a0", 3),
	} {
		p.write(event.TopicGrants, home(), m)
	}
	other := p.granted(4, "dan", 4)
	other.Key = []byte("coffee")
	p.write(event.TopicGrants, elsewhere(), other) // is invalid there
}

func (p post) tail(args ...string) ran {
	p.t.Helper()
	return run(p.t, p.env, append([]string{"tail"}, args...)...)
}

func TestTail(t *testing.T) {
	p := newPost(t, coupontest.Start(t, coupontest.Kafka))
	if got := p.tail("--until-end"); got != (ran{exitOK, "", ""}) {
		t.Errorf("an empty journal: %+v", got)
	}
	p.journal()
	h, e := home(), elsewhere()
	lines := []string{
		fmt.Sprintf("2026-11-22T12:00:01.000Z  %d/0   defined    tea         limit 9, window none, Asia/Seoul, closes 2026-11-22T13:00:00.000Z", h),
		fmt.Sprintf("2026-11-22T12:00:02.000Z  %d/1   granted    tea         1 of 9 to ada", h),
		fmt.Sprintf("2026-11-22T12:00:03.000Z  %d/2   granted    tea         2 of 9 to bob", h),
		fmt.Sprintf("2026-11-22T12:00:04.000Z  %d/0   invalid    coffee      #/coupon_id differs from the record's key", e),
		fmt.Sprintf(`2026-11-22T12:00:05.000Z  %d/4   firstcome.coupon.returned  tea         {"user_id":"ada","why":"x\u001b"}`, h),
		fmt.Sprintf("2026-11-22T12:00:06.000Z  %d/5   not_cloudevent             tea�        ce_specversion must be 1.0", h),
		fmt.Sprintf("2026-11-22T12:00:07.000Z  %d/6   granted                    tea         3 of 9 to cyd�", h),
	}
	for _, c := range []struct {
		args string
		want []int // lines
	}{
		{"--until-end", []int{0, 1, 2, 3, 4, 5, 6}},
		{"--until-end --from beginning --type granted,defined", []int{0, 1, 2, 3, 6}},
		{"--until-end --type firstcome.coupon.returned", []int{4}},
		{"--until-end --coupon coffee,milk", []int{3}},
		{"--until-end --user ada --user bob", []int{1, 2, 4}},
		{"--until-end --user ada --type granted", []int{1}},
		{"--until-end --from 2026-11-22T21:00:04+09:00", []int{3, 4, 5, 6}}, // the duplicate of ada's comes after it
		{"--until-end --from end", nil},
		{"--until-end --from -1s --topic coupon.requests", nil},
	} {
		got := p.tail(strings.Fields(c.args)...)
		var want string
		for _, n := range c.want {
			want += lines[n] + "\n"
		}
		if squeeze(got.out) != squeeze(want) || got.code != exitOK || got.err != "" {
			t.Errorf("tail %s: %+v\nwant\n%s", c.args, got, want)
		}
	}
	if got := p.tail("--until-end"); got.out != strings.Join(lines, "\n")+"\n" {
		t.Errorf("the columns are not\n%s\nbut\n%s", strings.Join(lines, "\n"), got.out)
	}
}

// squeeze makes the columns of a table one space wide: how wide they are depends on what came before.
func squeeze(text string) string {
	var all []string
	for line := range strings.Lines(text) {
		all = append(all, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(all, "\n")
}

func TestTail_JSON(t *testing.T) {
	p := newPost(t, coupontest.Start(t, coupontest.Kafka))
	p.journal()
	topic, h := p.servers.TopicPrefix+event.TopicGrants, home()
	got := p.tail("--until-end", "--json")
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if got.code != exitOK || len(lines) != 7 {
		t.Fatalf("%d lines: %+v", len(lines), got)
	}
	for n, want := range map[int]string{
		1: fmt.Sprintf(`{"topic":"%s","partition":%d,"offset":1,"time":"2026-11-22T12:00:02.000Z","type":"firstcome.coupon.granted","id":"%s",`+
			`"source":"%s","event_time":"2026-11-22T12:00:02.000Z","correlation_id":"c-2","key":"tea","data":{"grant_id":`, topic, h, p.meta(2).ID, p.meta(2).Source),
		4: `"type":"firstcome.coupon.returned",`,
		5: fmt.Sprintf(`{"topic":"%s","partition":%d,"offset":5,"time":"2026-11-22T12:00:06.000Z","problem":"not_cloudevent: ce_specversion must be 1.0",`+
			`"key":"tea\u001b","value_base64":"/w=="}`, topic, h),
	} {
		if !strings.Contains(lines[n], want) {
			t.Errorf("line %d is %s\nwant … %s", n, lines[n], want)
		}
	}
	for _, line := range lines {
		var object struct{ Data, Value any }
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Errorf("%v: %s", err, line)
		}
	}
	p.bury(event.TopicRequests, 7, p.claim("ada"), event.ReasonWrongPartition)
	got = p.tail("--until-end", "--topic", event.TopicDeadLetters, "--json", "--user", "ada")
	if want := fmt.Sprintf(`"dead_letter":{"topic":"%s%s","partition":%d,"offset":7,"time":"%s","reason":"wrong_partition","detail":"so it was"}`+
		`,"type":"firstcome.claim.requested","id":"id-of-ada"`, p.servers.TopicPrefix, event.TopicRequests, elsewhere(), p.at.UTC().Format("2006-01-02T15:04:05.000Z")); !strings.Contains(got.out, want) {
		t.Errorf("a dead letter is %s\nwant … %s", got.out, want)
	}
	if got = p.tail("--until-end", "--topic", event.TopicDeadLetters); strings.Contains(got.out, "ada") || !strings.Contains(got.out, "wrong_partition") || !strings.Contains(got.out, "/7: so it was") {
		t.Errorf("a dead letter is shown as %s", got.out)
	}
}

// console is where a command prints while a test looks.
type console struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(b)
}

func (c *console) has(text string) func() bool {
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return strings.Contains(c.text.String(), text)
	}
}

// It may be started before anything is there, and ends well when somebody has seen enough.
func TestTail_Follows(t *testing.T) {
	servers := coupontest.Start(t, coupontest.Kafka)
	p := post{t: t, servers: servers, env: map[string]string{"KAFKA_BROKERS": strings.Join(servers.Brokers, ","), "KAFKA_TOPIC_PREFIX": servers.TopicPrefix}}
	var out, errs console
	ctx, interrupt := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- Run(ctx, []string{"tail", "--from", "beginning"}, System{Out: &out, Err: &errs, Getenv: func(name string) string { return p.env[name] }})
	}()
	eventually(t, "it says what it waits for", errs.has("firstcome: waiting for topic "+servers.TopicPrefix+"coupon.grants: `firstcome topics create` makes it\n"))
	servers.CreateTopics(t, postPartitions)
	for n := range int64(3) {
		p.write(event.TopicGrants, home(), p.granted(n, fmt.Sprint("user-", n), n+1))
		eventually(t, "it is shown", out.has(fmt.Sprintf("%d of 9 to user-%d\n", n+1, n)))
	}
	p.write(event.TopicGrants, home(), p.granted(1, "again", 2))
	p.write(event.TopicGrants, home(), p.granted(9, "last", 9))
	eventually(t, "the last one is shown", out.has("9 of 9 to last\n"))
	if out.has("again")() {
		t.Error("a duplicate is shown")
	}
	interrupt()
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d once it is interrupted", got)
	}
}
