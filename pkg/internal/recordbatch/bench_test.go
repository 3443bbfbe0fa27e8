package recordbatch

import (
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
)

// BenchmarkRead reads batches of 500 records with eight headers each.
func BenchmarkRead(b *testing.B) {
	var messages []event.Message
	for range 500 {
		m := event.Message{Key: []byte("coupon-1"), Value: make([]byte, 50), Time: someTime}
		for _, name := range []string{"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "content-type", "ce_correlationid"} {
			m.Headers = append(m.Headers, event.Header{Key: name, Value: make([]byte, 20)})
		}
		messages = append(messages, m)
	}
	data := build(messages, Producer{}, 0)
	d := Decoder{Topic: "t"}
	b.ReportAllocs()
	for n := 0; n < b.N; n += len(messages) {
		batch, _, err := Next(data)
		if err != nil {
			b.Fatal(err)
		}
		c, err := Open(batch)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Read(make([]event.Record, 0, len(messages)), c, 0, len(messages)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBuild writes them.
func BenchmarkBuild(b *testing.B) {
	m := someMessages()[0]
	var builder Builder
	b.ReportAllocs()
	for n := 0; n < b.N; n += 500 {
		builder.Reset(builder.buf)
		for range 500 {
			builder.Append(&m)
		}
		builder.Seal(Producer{}, 0)
	}
}
