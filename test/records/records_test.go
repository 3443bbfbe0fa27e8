// Package records holds that nothing that somebody writes straight into coupon.requests stops the pipeline: it becomes a
// dead letter that says where it came from and why, and the next record is decided.
package records

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/test/issuing"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

const partitions = 3

var meta = event.Meta{Source: "/stranger", CorrelationID: "c-1"}

// place is a coupon in its partition, with the tails of the topics around it.
type place struct {
	*issuing.Issuing
	coupon    string
	partition int32
	journal   *issuing.Tail
	letters   *issuing.Tail
	granted   int64
}

// open defines a coupon and waits until the definition is in the journal.
func open(t *testing.T) *place {
	t.Helper()
	p := &place{Issuing: issuing.Start(t, partitions), coupon: "stock"}
	p.partition = event.Partition(p.coupon, partitions)
	p.journal = p.Tail(t, event.TopicGrants, p.partition)
	p.letters = p.Tail(t, event.TopicDeadLetters, 0)
	p.Write(t, p.partition, 0, message(t, definition(p.coupon), meta))
	e, err := event.Decode(p.journal.Next(t))
	if d, ok := e.Data.(event.CouponDefined); err != nil || !ok || d.CouponID != p.coupon {
		t.Fatalf("got %+v, %v", e, err)
	}
	return p
}

func definition(coupon string) event.CouponDefined {
	return event.CouponDefined{CouponID: coupon, Limit: 1000, Window: event.WindowNone, TimeZone: "UTC"}
}

func message(t *testing.T, data interface {
	Message(event.Meta) (event.Message, error)
}, meta event.Meta) event.Message {
	t.Helper()
	m, err := data.Message(meta)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (p *place) claim(t *testing.T, user string) event.Message {
	t.Helper()
	return message(t, event.ClaimRequested{CouponID: p.coupon, UserID: user}, meta)
}

// checkDecides writes a claim behind all that was written, and waits for its grant.
func (p *place) checkDecides(t *testing.T) {
	t.Helper()
	p.granted++
	user := fmt.Sprint("person ", p.granted)
	offset := p.Write(t, p.partition, 0, p.claim(t, user))
	g := p.journal.Grant(t)
	if g.UserID != user || g.Sequence != p.granted || g.Source != (event.Source{Partition: p.partition, Offset: offset}) {
		t.Fatalf("the claim at offset %d of %q led to %+v", offset, user, g)
	}
}

// checkLetter holds the dead letter of what was written at an offset.
func (p *place) checkLetter(t *testing.T, m event.Message, offset int64, reason event.Reason, detail string) event.Record {
	t.Helper()
	letter := p.letters.Next(t)
	got := issuing.Headers(letter)
	for name, want := range map[string]string{
		"fc_topic":     p.Topic(event.TopicRequests),
		"fc_partition": strconv.Itoa(int(p.partition)),
		"fc_offset":    strconv.FormatInt(offset, 10),
		"fc_reason":    string(reason),
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if !strings.Contains(got["fc_detail"], detail) || got["fc_detail"] == "" {
		t.Errorf("fc_detail is %q, want … %s …", got["fc_detail"], detail)
	}
	if at, err := time.Parse(time.RFC3339, got["fc_time"]); err != nil || time.Since(at).Abs() > time.Hour {
		t.Errorf("fc_time is %q, want the append time: %v", got["fc_time"], err)
	}
	if !bytes.Equal(letter.Key, m.Key) || (letter.Key == nil) != (m.Key == nil) {
		t.Errorf("key %q became %q", m.Key, letter.Key)
	}
	if reason != event.ReasonTooLarge && (!bytes.Equal(letter.Value, m.Value) || (letter.Value == nil) != (m.Value == nil)) {
		t.Errorf("value %.200q became %.200q", m.Value, letter.Value)
	}
	for _, h := range m.Headers {
		if got[h.Key] != string(h.Value) {
			t.Errorf("header %s: %q became %q", h.Key, h.Value, got[h.Key])
		}
	}
	return letter
}

func TestDeadLetters(t *testing.T) {
	p := open(t)
	for _, c := range badRecords(t, p) {
		t.Run(c.name, func(t *testing.T) {
			offset := p.Write(t, p.partition, 0, c.message)
			p.checkDecides(t)
			p.checkLetter(t, c.message, offset, c.reason, c.detail)
			if rest := p.letters.Rest(t); len(rest) > 0 {
				t.Errorf("%d more dead letters", len(rest))
			}
		})
	}
}

type badRecord struct {
	name    string
	message event.Message
	reason  event.Reason
	detail  string
}

func badRecords(t *testing.T, p *place) []badRecord {
	// Each begins as a good claim that is granted if the change is forgotten.
	change := func(f func(*event.Message)) event.Message {
		m := p.claim(t, "nobody")
		f(&m)
		return m
	}
	value := func(v string) event.Message { return change(func(m *event.Message) { m.Value = []byte(v) }) }
	header := func(name, v string) event.Message {
		return change(func(m *event.Message) {
			for i := range m.Headers {
				if m.Headers[i].Key == name {
					m.Headers[i].Value = []byte(v)
				}
			}
		})
	}
	defined := func(from, to string) event.Message {
		m := message(t, definition(p.coupon), meta)
		m.Value = []byte(strings.Replace(string(m.Value), from, to, 1))
		return m
	}
	stray := message(t, event.ClaimRequested{CouponID: elsewhere(p.partition), UserID: "nobody"}, meta)
	strayDefinition := message(t, definition(elsewhere(p.partition)), meta)
	grant := change(func(m *event.Message) { *m = grantOf(t, p) })
	return []badRecord{
		{"garbage", event.Message{Key: []byte("\xff\x00"), Value: []byte("\x00\xff garbage")}, event.ReasonNotCloudEvent, "ce_specversion"},
		{"nothing at all", event.Message{}, event.ReasonNotCloudEvent, "ce_specversion"},
		{"garbage as value", value("\x00\xff garbage"), event.ReasonMalformed, "byte"},
		{"null value", change(func(m *event.Message) { m.Value = nil }), event.ReasonMalformed, "null"},
		{"empty value", value(""), event.ReasonMalformed, "byte 0"},
		{"a name twice", value(`{"coupon_id":"stock","user_id":"a","user_id":"b"}`), event.ReasonMalformed, "duplicate"},
		{"lone surrogate", value(`{"coupon_id":"stock","user_id":"\ud800"}`), event.ReasonMalformed, "surrogate"},
		{"unknown event type", header("ce_type", "com.example.order.placed"), event.ReasonUnknownType, "com.example.order.placed"},
		{"a grant of somebody's own", grant, event.ReasonUnknownType, event.TypeCouponGranted},
		{"structured mode", header("content-type", "application/cloudevents+json"), event.ReasonNotCloudEvent, "structured"},
		{"no user", value(`{"coupon_id":"stock"}`), event.ReasonInvalid, "#/user_id"},
		{"key of another coupon", change(func(m *event.Message) { m.Key = []byte("other") }), event.ReasonInvalid, "key"},
		{"no key", change(func(m *event.Message) { m.Key = nil }), event.ReasonInvalid, "key"},
		{"subject of another coupon", header("ce_subject", "other"), event.ReasonInvalid, "ce_subject"},
		{"claim in a wrong partition", stray, event.ReasonWrongPartition, ""},
		{"definition in a wrong partition", strayDefinition, event.ReasonWrongPartition, ""},
		{"limit 0", defined(`"limit":1000`, `"limit":0`), event.ReasonInvalid, "#/limit"},
		{"a time zone that is none", defined(`"UTC"`, `"Mars/Olympus_Mons"`), event.ReasonInvalid, "time_zone"},
		{"rules of later", defined(`"rules":1`, `"rules":2`), event.ReasonUnsupportedRules, "rules 2"},
		{"almost a megabyte", value(`{"coupon_id":"stock","user_id":"` + strings.Repeat("x", 400_000) + `"}`), event.ReasonInvalid, "#/user_id"},
	}
}

// elsewhere is a coupon that belongs into another partition.
func elsewhere(partition int32) string {
	for n := 0; ; n++ {
		if id := fmt.Sprint("elsewhere-", n); event.Partition(id, partitions) != partition {
			return id
		}
	}
}

func grantOf(t *testing.T, p *place) event.Message {
	at := time.Now()
	return message(t, event.CouponGranted{
		GrantID: "00000000-0063-8000-9a7b-0123456789ab", CouponID: p.coupon, UserID: "nobody", Sequence: 1, Limit: 1,
		RequestedAt: at, LogTime: at, Source: event.Source{Partition: 0, Offset: 99},
	}, event.Meta{Source: event.JournalSource(p.Topic(event.TopicRequests), 0)})
}

// TestCompressed: every codec of Kafka is read; offsets and order stay.
func TestCompressed(t *testing.T) {
	p := open(t)
	for _, codec := range []kafka.Compression{kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			var batch []event.Message
			for n := range 50 {
				batch = append(batch, p.claim(t, fmt.Sprint(codec, n)))
			}
			first := p.Write(t, p.partition, codec, batch...)
			for n := range 50 {
				p.granted++
				g := p.journal.Grant(t)
				if g.UserID != fmt.Sprint(codec, n) || g.Sequence != p.granted || g.Source.Offset != first+int64(n) {
					t.Fatalf("claim %d of the batch at %d led to %+v", n, first, g)
				}
			}
			p.checkDecides(t)
		})
	}
	if rest := p.letters.Rest(t); len(rest) > 0 {
		t.Errorf("%d dead letters", len(rest))
	}
}

// TestBomb: a batch of less than 1 MB that unpacks to 80 MB is one dead letter for all its offsets.
func TestBomb(t *testing.T) {
	p := open(t)
	// Without Snappy: it packs 80 MB into more than a broker takes.
	for _, codec := range []kafka.Compression{kafka.Gzip, kafka.Lz4, kafka.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			bomb := p.claim(t, "nobody")
			bomb.Value = make([]byte, 8<<20)
			batch := make([]event.Message, 10)
			for n := range batch {
				batch[n] = bomb
			}
			first := p.Write(t, p.partition, codec, batch...)
			p.checkDecides(t)
			letter := p.checkLetter(t, event.Message{}, first, event.ReasonTooLarge, strconv.FormatInt(first+9, 10))
			if len(letter.Value) == 0 || len(letter.Value) > 512<<10 {
				t.Errorf("value of %d bytes, want the first 512 KiB of the batch as they came", len(letter.Value))
			}
			if rest := p.letters.Rest(t); len(rest) > 0 {
				t.Errorf("%d more dead letters", len(rest))
			}
		})
	}
}

// TestHugeKey: what a broker takes compressed, it need not take as a dead letter.
func TestHugeKey(t *testing.T) {
	p := open(t)
	for name, m := range map[string]event.Message{
		"key":    {Key: make([]byte, 20<<20)},
		"header": {Headers: []event.Header{{Key: "x", Value: make([]byte, 20<<20)}}},
		"value":  {Value: make([]byte, 20<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			offset := p.Write(t, p.partition, kafka.Gzip, m)
			p.checkDecides(t)
			got := issuing.Headers(p.letters.Next(t))
			if got["fc_offset"] != strconv.FormatInt(offset, 10) || got["fc_reason"] != string(event.ReasonNotCloudEvent) {
				t.Errorf("got %v", got)
			}
			if rest := p.letters.Rest(t); len(rest) > 0 {
				t.Errorf("%d more dead letters", len(rest))
			}
		})
	}
}
