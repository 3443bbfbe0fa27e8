package letter

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/cli/internal/printed"
	"github.com/firstcome/firstcome/pkg/event"
)

var at = time.Date(2026, 11, 22, 9, 0, 0, 123_000_000, time.UTC)

// letters are what a topic may hold: two copies of one, a record with hostile texts, a batch, one of the journal, one that
// was cut, and what somebody else wrote.
func letters(t *testing.T) []event.Message {
	t.Helper()
	record := func(topic string, partition int32, offset int64, m event.Message) event.Record {
		return event.Record{Topic: topic, Partition: partition, Offset: offset, LastOffset: offset, Time: at.Add(time.Duration(offset) * time.Second), Key: m.Key, Value: m.Value, Headers: m.Headers}
	}
	ada := record(requestsTopic, 3, 7, claim(t, "ada"))
	hostile := record(requestsTopic, 3, 8, event.Message{Key: []byte("\x1b[2J"), Value: []byte("\xff"), Headers: []event.Header{{Key: "x\n", Value: []byte("\x00\xff")}}})
	batch := record(requestsTopic, 4, 9, event.Message{Value: []byte("raw")})
	batch.LastOffset = 12
	journal := record(journalTopic, 3, 10, event.Message{Key: []byte("milk"), Value: []byte(`{"a":"<b>"}`)})
	long := record(requestsTopic, 4, 13, event.Message{Key: []byte("tea"), Value: []byte(strings.Repeat("x", 600_000))})
	anew := record(requestsTopic, 3, 7, claim(t, "eve"))
	anew.Time = at.Add(time.Hour) // of another log under the same name
	return []event.Message{
		event.DeadLetter(ada, event.ReasonWrongPartition, "it belongs in partition 2"),
		event.DeadLetter(hostile, event.ReasonNotCloudEvent, "ce_specversion\x1b must be 1.0"),
		event.DeadLetter(ada, event.ReasonWrongPartition, "it belongs in partition 2"),
		event.DeadLetter(batch, event.ReasonTooLarge, "gzip"),
		{Key: []byte("who"), Value: []byte("knows")},
		event.DeadLetter(journal, event.ReasonUniqueViolation, "contradicts what is stored"),
		event.DeadLetter(long, event.ReasonMalformed, "byte 0"),
		event.DeadLetter(anew, event.ReasonWrongPartition, "it belongs in partition 2"),
	}
}

func filled(t *testing.T) own {
	t.Helper()
	box := newBox(t)
	for _, m := range letters(t) {
		box.write(t, m)
	}
	return box
}

func TestBox_List(t *testing.T) {
	box := filled(t)
	three, five := int32(3), int32(5)
	for _, c := range []struct {
		name   string
		filter Filter
		want   string // offsets of the newest copies
	}{
		{"all, the newest last, copies once", Filter{}, "[1 2 3 4 5 6 7]"},
		{"any copy of it", Filter{Offsets: []int64{0}}, "[2]"},
		{"several", Filter{Offsets: []int64{5, 2, 4, 99}}, "[2 4 5]"},
		{"a reason", Filter{Reasons: []event.Reason{event.ReasonTooLarge, event.ReasonUniqueViolation}}, "[3 5]"},
		{"a topic", Filter{Topic: journalTopic}, "[5]"},
		{"a partition", Filter{Partition: &three}, "[1 2 5 7]"},
		{"a partition of a topic", Filter{Topic: requestsTopic, Partition: &three}, "[1 2 7]"},
		{"an empty partition", Filter{Partition: &five}, "[]"},
		{"a coupon", Filter{CouponID: "tea"}, "[2 6 7]"},
		{"since", Filter{Since: at.Add(13 * time.Second), Topic: requestsTopic}, "[6 7]"},
		{"all at once", Filter{Since: at, Topic: requestsTopic, Partition: &three, Reasons: []event.Reason{event.ReasonWrongPartition}, CouponID: "tea", Offsets: []int64{0, 1}}, "[2]"},
	} {
		entries, err := box.List(t.Context(), c.filter)
		offsets := []int64{}
		for _, e := range entries {
			offsets = append(offsets, e.Offset())
		}
		if got := fmt.Sprint(offsets); err != nil || got != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.name, got, err, c.want)
		}
	}
}

// What is opened is read where it stands, whatever lies between.
func TestBox_Open(t *testing.T) {
	box := filled(t)
	for range 50 { // so that one answer of the broker does not hold them all
		box.write(t, letters(t)[6])
	}
	box.write(t, letters(t)[5])
	entries, err := box.List(t.Context(), Filter{Offsets: []int64{1, 4, 30, 58}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = box.Open(t.Context(), entries, func(e Entry, r event.Record) error {
		got = append(got, fmt.Sprintf("%d=%d:%d", e.Offset(), r.Offset, len(r.Value)))
		return nil
	})
	if want := "[1=1:1 4=4:5 57=57:524288 58=58:11]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v, %v; want %s", got, err, want)
	}
	behind := box.reader()
	defer behind.fetcher.Close()
	behind.next = 59
	if _, _, err := behind.before(t.Context(), 60); err == nil || !strings.Contains(err.Error(), "end at offset 59, and a moment ago they went on to 60") {
		t.Errorf("a log that has become shorter: %v", err)
	}
	gone := Entry{Copies: []int64{1000}}
	if err := box.Open(t.Context(), []Entry{gone}, func(Entry, event.Record) error { return nil }); err == nil || !strings.Contains(err.Error(), "offset 1000") {
		t.Errorf("what is not there: %v", err)
	}
}

func TestBox_NoTopic(t *testing.T) {
	box := newBox(t).Box
	box.Topic = "nowhere." + box.Topic
	if _, err := box.List(t.Context(), Filter{}); err == nil || !strings.Contains(err.Error(), "is not there: `firstcome topics create` makes it") {
		t.Errorf("got %v", err)
	}
}

const table = `OFFSET  FROM                         TIME                      REASON            COUPON  BYTES   COPIES  DETAIL
1       it-7.coupon.requests/3/8     2026-11-22T09:00:08.123Z  not_cloudevent    -       1       1       ce_specversion� must be 1.0
2       it-7.coupon.requests/3/7     2026-11-22T09:00:07.123Z  wrong_partition   tea     35      2       it belongs in partition 2
3       it-7.coupon.requests/4/9-12  2026-11-22T09:00:09.123Z  too_large         -       3       1       gzip
4       -                            %s  -                 -       5       1       no dead letter: it has no headers fc_
5       it-7.coupon.grants/3/10      2026-11-22T09:00:10.123Z  unique_violation  milk    11      1       contradicts what is stored
6       it-7.coupon.requests/4/13    2026-11-22T09:00:13.123Z  malformed         tea     600000  1       byte 0
7       it-7.coupon.requests/3/7     2026-11-22T10:00:00.123Z  wrong_partition   tea     35      1       it belongs in partition 2
`

func TestWrite(t *testing.T) {
	box := filled(t)
	entries, err := box.List(t.Context(), Filter{})
	if err != nil || len(entries) != 7 {
		t.Fatalf("got %v, %v", entries, err)
	}
	var lines strings.Builder
	if err := WriteTable(&lines, entries); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(table, entries[3].Time.UTC().Format(printed.TimeLayout)); lines.String() != want {
		t.Errorf("got\n%s\nwant\n%s", lines.String(), want)
	}
	var whole, objects []string
	err = box.Open(t.Context(), entries, func(e Entry, r event.Record) error {
		var text, object strings.Builder
		_ = WriteWhole(&text, e, r)
		_ = WriteJSON(&object, e, r)
		whole, objects = append(whole, text.String()), append(objects, object.String())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"dead letter 1 (it-7.coupon.requests/3/8, not_cloudevent), 2026-11-22T09:00:08.123Z: ce_specversion� must be 1.0\n  x�: base64 AP8=\n  key    base64 G1sySg==\n  value  base64 /w==\n\n",
		"  ce_correlationid: c-1\n  key    tea\n  value  {\"coupon_id\":\"tea\",\"user_id\":\"ada\"}\n\n",
		"  key    null\n  value  raw\n\n",
		": no dead letter: it has no headers fc_\n  key    who\n  value  knows\n\n",
		"  value  {\"a\":\"<b>\"}\n\n",
		"xxx (cut: the first 524288 of 600000 bytes)\n\n",
	} {
		if !strings.HasSuffix(whole[i], want) {
			t.Errorf("%d: got %s\nwant … %s", i, tail(whole[i]), want)
		}
	}
	for i, want := range []string{
		`"from":{"topic":"it-7.coupon.requests","partition":3,"offset":8,"last_offset":8,"time":"2026-11-22T09:00:08.123Z"},"reason":"not_cloudevent","detail":"ce_specversion\u001b must be 1.0",` +
			`"key":"\u001b[2J","value_base64":"/w==","value_bytes":1,"key_cut":false,"value_cut":false,"headers_left_out":0,"headers":[{"name":"x\n","value_base64":"AP8="}]}` + "\n",
		`"key":"tea","value":"{\"coupon_id\":\"tea\",\"user_id\":\"ada\"}","value_bytes":35,`,
		`"offset":9,"last_offset":12,"time":"2026-11-22T09:00:09.123Z"},"reason":"too_large","detail":"gzip","value":"raw",`,
		`"problem":"no dead letter: it has no headers fc_","key":"who","value":"knows","value_bytes":5,"key_cut":false,"value_cut":false,"headers_left_out":0,"headers":[]}` + "\n",
		`"value":"{\"a\":\"<b>\"}"`,
		`xxx","value_bytes":600000,"key_cut":false,"value_cut":true,"headers_left_out":0,"headers":[]}` + "\n",
	} {
		if !strings.Contains(objects[i], want) {
			t.Errorf("%d: got %s\nwant … %s", i, tail(objects[i]), want)
		}
	}
	if !strings.HasPrefix(objects[1], `{"offset":2,"copies":2,"written_at":"20`) {
		t.Errorf("got %s", objects[1])
	}
}

func tail(text string) string { return text[max(0, len(text)-600):] }
