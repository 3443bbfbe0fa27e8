package event_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files under testdata/v1 anew")

// golden is a record in a form that people can read and that keeps every byte: all of it is UTF-8.
type golden struct {
	Timestamp string   `json:"timestamp"` // of Kafka; empty where the broker or the producer's clock sets it
	Key       string   `json:"key"`
	Headers   []string `json:"headers"` // "key: value"
	Value     string   `json:"value"`
}

type goldenCase struct {
	topic, name string
	data        any // nil for a dead letter
	meta        event.Meta
	message     func(testing.TB) event.Message
}

func goldenCases() []goldenCase {
	requests := func(name string, data any, meta event.Meta) goldenCase {
		return goldenCase{topic: event.TopicRequests, name: name, data: data, meta: meta}
	}
	grants := func(name string, data any, meta event.Meta) goldenCase {
		return goldenCase{topic: event.TopicGrants, name: name, data: data, meta: meta}
	}
	plain := func(m event.Meta) event.Meta { m.CorrelationID, m.TraceParent = "", ""; return m }
	least := event.CouponDefined{CouponID: "a", Limit: 1, Window: "none", TimeZone: "UTC", Rules: 1}
	leastJournal := least
	leastJournal.RequestedAt, leastJournal.LogTime, leastJournal.Source = requestedAt, requestedAt, &place
	once := aGrant()
	once.Window, once.Sequence = "", 100
	return []goldenCase{
		requests("coupon.defined", aDefinition(), requestMeta),
		requests("coupon.defined.least", least, plain(requestMeta)),
		requests("claim.requested", aClaim(), requestMeta),
		requests("claim.requested.least", event.ClaimRequested{CouponID: "a", UserID: "1"}, plain(requestMeta)),
		grants("coupon.defined", aJournalDefinition(), journalMeta),
		grants("coupon.defined.least", leastJournal, plain(journalMeta)),
		grants("coupon.granted", aGrant(), journalMeta),
		grants("coupon.granted.last", once, plain(journalMeta)),
		{topic: event.TopicDeadLetters, name: "dead-letter", message: func(t testing.TB) event.Message {
			m, err := aClaim().Message(requestMeta)
			r := consumed(event.TopicRequests, published(t, m, err))
			return event.DeadLetter(r, event.ReasonWrongPartition, "in partition 7, belongs in 3")
		}},
	}
}

func TestGolden(t *testing.T) {
	for _, c := range goldenCases() {
		t.Run(c.topic+"/"+c.name, func(t *testing.T) {
			var m event.Message
			if c.data != nil {
				m = message(t, event.Event{Meta: c.meta, Data: c.data})
			} else {
				m = c.message(t)
			}
			file := filepath.Join("testdata", "v1", c.topic, c.name+".json")
			if *rewrite {
				writeGolden(t, file, m)
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got := readable(t, m); !bytes.Equal(got, want) {
				t.Fatalf("the record's bytes changed; records of version 1 stay readable for ever\n got %s\nwant %s", got, want)
			}
		})
	}
}

// TestGoldenIsRead holds that what lies in the topics of this version is understood, whatever writing becomes.
func TestGoldenIsRead(t *testing.T) {
	for _, c := range goldenCases() {
		if c.data == nil {
			continue
		}
		t.Run(c.topic+"/"+c.name, func(t *testing.T) {
			e, err := event.Decode(consumed(c.topic, readGolden(t, filepath.Join("testdata", "v1", c.topic, c.name+".json"))))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(e.Data, c.data) {
				t.Errorf("got  %+v\nwant %+v", e.Data, c.data)
			}
			want := c.meta
			want.Time = requestedAt
			if e.Meta != want {
				t.Errorf("got  %+v\nwant %+v", e.Meta, want)
			}
		})
	}
}

func writeGolden(t *testing.T, file string, m event.Message) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, readable(t, m), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readable(t testing.TB, m event.Message) []byte {
	t.Helper()
	g := golden{Key: string(m.Key), Value: string(m.Value)}
	if !m.Time.IsZero() {
		g.Timestamp = m.Time.Format(time.RFC3339Nano)
	}
	for _, h := range m.Headers {
		g.Headers = append(g.Headers, h.Key+": "+string(h.Value))
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readGolden(t testing.TB, file string) event.Message {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	m := event.Message{Key: []byte(g.Key), Value: []byte(g.Value)}
	for _, h := range g.Headers {
		key, value, _ := strings.Cut(h, ": ")
		m.Headers = append(m.Headers, event.Header{Key: key, Value: []byte(value)})
	}
	return m
}
