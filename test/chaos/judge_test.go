package chaos

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

const (
	topic = "t.coupon.requests"
	key   = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
)

var began = time.UnixMilli(1_800_000_000_000).UTC()

// sale is a log of one partition: two of tea for u1 to u3, of whom u1 asks twice; then a third one, which u4 gets.
func sale(t *testing.T) *witness {
	t.Helper()
	w := newWitness(nil, 1)
	define := func(limit int64) event.CouponDefined {
		return event.CouponDefined{CouponID: "tea", Limit: limit, Window: "none", TimeZone: "UTC", Rules: 1}
	}
	claim := func(user string) event.ClaimRequested { return event.ClaimRequested{CouponID: "tea", UserID: user} }
	var log []event.Record
	for _, data := range []interface {
		Message(event.Meta) (event.Message, error)
	}{define(2), claim("u1"), claim("u1"), claim("u2"), claim("u3"), define(3), claim("u4")} {
		log = append(log, record(t, data, event.Meta{Source: "/firstcome/gateway"}, int64(len(log))))
	}
	if err := w.decide(w.parts[0], log); err != nil {
		t.Fatal(err)
	}
	return w
}

func record(t *testing.T, data interface {
	Message(event.Meta) (event.Message, error)
}, meta event.Meta, offset int64) event.Record {
	t.Helper()
	m, err := data.Message(meta)
	if err != nil {
		t.Fatal(err)
	}
	return event.Record{
		Topic: topic, Offset: offset, LastOffset: offset, Time: began.Add(time.Duration(offset) * time.Second),
		Key: m.Key, Value: m.Value, Headers: m.Headers,
	}
}

func granted(user string, sequence, offset int64) grant {
	return grant{fcfs.Source{Offset: offset}, "tea", user, "", sequence}
}

var right = []grant{granted("u1", 1, 1), granted("u2", 2, 3), granted("u4", 3, 6)}

func TestWitness(t *testing.T) {
	w := sale(t)
	if !slices.Equal(w.led["tea"], right) {
		t.Errorf("the log leads to %v", w.led["tea"])
	}
	for offset, want := range map[int64]fcfs.Outcome{1: fcfs.Granted, 2: fcfs.AlreadyIssued, 3: fcfs.Granted, 4: fcfs.SoldOut, 6: fcfs.Granted} {
		if got, ok := w.at(fcfs.Source{Offset: offset}); !ok || got.Outcome != want {
			t.Errorf("offset %d: %v, want %v", offset, got.Outcome, want)
		}
	}
	if at := w.soldOut["tea"]; at != fcfs.FromTime(began.Add(3*time.Second)) {
		t.Errorf("sold out at %v, want with the second grant", at.Time())
	}
}

// The journal has a late batch of a former owner: its consumers drop it.
func TestWitness_Journal(t *testing.T) {
	w := sale(t)
	var journal []event.Record
	for _, g := range []grant{right[0], right[1], right[0], right[1], right[2]} {
		source := event.Source{Partition: 0, Offset: g.source.Offset}
		at := began.Add(time.Duration(g.source.Offset) * time.Second)
		data := event.CouponGranted{
			GrantID: fcfs.GrantID(topic, g.source), CouponID: "tea", UserID: g.userID, Sequence: g.sequence, Limit: 3,
			RequestedAt: at, LogTime: at, Source: source,
		}
		meta := event.Meta{ID: data.GrantID, Source: event.JournalSource(topic, 0), Time: at}
		r := record(t, data, meta, int64(len(journal)))
		r.Topic = "t.coupon.grants"
		journal = append(journal, r)
	}
	if err := w.take(w.parts[0], journal); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w.journal["tea"], right) {
		t.Errorf("the journal has %v", w.journal["tea"])
	}
}

func TestJudge_Store(t *testing.T) {
	for _, c := range []struct {
		name string
		has  []grant
		want breaches
	}{
		{"as the log leads to", []grant{right[2], right[0], right[1]}, breaches{}},
		{"one too many", append(slices.Clone(right), granted("u3", 4, 7)), breaches{Over: 1}},
		{"one missing", right[:2], breaches{Under: 1}},
		{"another person", []grant{right[0], granted("u3", 2, 3), right[2]}, breaches{Over: 1, Under: 1}},
		{"the same twice", append(slices.Clone(right), right[1]), breaches{Over: 1, Duplicates: 1, OutOfOrder: 1}},
		{"a person twice", append(slices.Clone(right), granted("u1", 4, 7)), breaches{Over: 1, Duplicates: 1}},
		{"the later one first", []grant{granted("u1", 2, 1), granted("u2", 1, 3), right[2]}, breaches{Over: 2, Under: 2, OutOfOrder: 1}},
	} {
		j := judge{witness: sale(t), requestsTopic: topic, key: key}
		j.store("Postgres", "tea", c.has)
		if j.breaches != c.want || len(j.found) == 0 && c.want != (breaches{}) {
			t.Errorf("%s: %+v, want %+v: %q", c.name, j.breaches, c.want, j.found)
		}
	}
}

// seal is the claim id of a record, as a gateway would make it; its nonce does not matter.
func seal(t *testing.T, offset int64, user string) string {
	t.Helper()
	secret, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := chacha20poly1305.NewX(secret)
	if err != nil {
		t.Fatal(err)
	}
	plain := binary.AppendUvarint(nil, 0)
	plain = binary.AppendUvarint(plain, uint64(offset))
	plain = binary.AppendUvarint(plain, uint64(began.UnixMilli()+1000*offset))
	plain = append(binary.AppendUvarint(plain, 3), "tea"+user...)
	id := append([]byte{1}, make([]byte, chacha20poly1305.NonceSizeX)...)
	rand.Read(id[1:])
	return base64.RawURLEncoding.EncodeToString(aead.Seal(id, id[1:], plain, id[:1]))
}

func TestJudge_Answers(t *testing.T) {
	u1 := answer{CouponID: "tea", UserID: "u1", Outcome: "granted", Sequence: 1, GrantID: fcfs.GrantID(topic, fcfs.Source{Offset: 1}), ClaimID: seal(t, 1, "u1")}
	u3 := answer{CouponID: "tea", UserID: "u3", Outcome: "sold_out", ClaimID: seal(t, 4, "u3")}
	early := answer{CouponID: "tea", UserID: "u9", Outcome: "sold_out", AnsweredAt: began.Add(3 * time.Second)}
	change := func(a answer, how func(*answer)) answer { how(&a); return a }
	for _, c := range []struct {
		name string
		told answer
		want breaches
		says string
	}{
		{"granted", u1, breaches{}, ""},
		{"granted, and told by a second claim", change(u1, func(a *answer) { a.ClaimID, a.EarlierClaimIDs = seal(t, 2, "u1"), []string{u1.ClaimID} }), breaches{}, ""},
		{"refused by the log", u3, breaches{}, ""},
		{"refused at the door", early, breaches{}, ""},

		{"no answer", answer{CouponID: "tea", UserID: "u3"}, breaches{Lost: 1}, "got no answer"},
		{"granted, and has nothing", change(u1, func(a *answer) { a.UserID, a.ClaimID = "u5", "" }), breaches{Contradicted: 1}, "has nothing"},
		{"another sequence", change(u1, func(a *answer) { a.Sequence = 2 }), breaches{Contradicted: 1}, "with sequence 2"},
		{"another grant", change(u1, func(a *answer) { a.GrantID = fcfs.GrantID(topic, fcfs.Source{Offset: 2}) }), breaches{Contradicted: 1}, "has the grant"},
		{"refused, and the claim was granted", change(u1, func(a *answer) { a.Outcome, a.Sequence, a.GrantID = "sold_out", 0, "" }), breaches{Contradicted: 1}, "that claim was granted"},
		{"refused for another reason", change(u3, func(a *answer) { a.Outcome = "closed" }), breaches{Contradicted: 1}, "that claim was sold_out"},
		{"refused at the door too early", change(early, func(a *answer) { a.AnsweredAt = began.Add(2999 * time.Millisecond) }), breaches{Contradicted: 1}, "it was not sold out before"},
		{"refused at the door for no reason", change(early, func(a *answer) { a.Outcome = "closed" }), breaches{Contradicted: 1}, "no claim of the round"},
		{"two answers", change(u3, func(a *answer) { a.Broken = []string{"was told sold_out, then granted"} }), breaches{Contradicted: 1}, "then granted"},
		{"a claim that is not in the log", change(u3, func(a *answer) { a.EarlierClaimIDs = []string{seal(t, 7, "u3")} }), breaches{Lost: 1}, "record at 0/7"},
		{"somebody else's claim", change(u3, func(a *answer) { a.EarlierClaimIDs = []string{seal(t, 3, "u3")} }), breaches{Lost: 1}, "record at 0/3"},
		{"no claim id at all", change(u3, func(a *answer) { a.EarlierClaimIDs = []string{"AQ"} }), breaches{Contradicted: 1}, "too short"},
	} {
		j := judge{witness: sale(t), requestsTopic: topic, key: key}
		j.answers([]answer{c.told})
		if said := strings.Join(j.found, "; "); j.breaches != c.want || !strings.Contains(said, c.says) || (said == "") != (c.says == "") {
			t.Errorf("%s: %+v, want %+v: %q", c.name, j.breaches, c.want, said)
		}
	}
}
