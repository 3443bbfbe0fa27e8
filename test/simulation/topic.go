package simulation

import (
	"fmt"
	"sort"
	"time"

	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// topic is one partition of a topic: records as bytes, with retention and with offsets that have none.
type topic struct {
	name       string
	partition  int32
	records    []event.Record
	start, end int64
}

// append puts a record after some offsets that have none (markers of transactions, say).
func (t *topic) append(gap int64, r event.Record) event.Record {
	span := r.LastOffset - r.Offset
	r.Topic, r.Partition, r.Offset = t.name, t.partition, t.end+gap
	r.LastOffset = r.Offset + span
	t.end = r.LastOffset + 1
	t.records = append(t.records, r)
	return r
}

// message is a record with the time of who makes it.
func message(m event.Message) event.Record {
	return event.Record{Time: m.Time.UTC(), Key: m.Key, Value: m.Value, Headers: m.Headers}
}

// appended is a record with the time of the broker.
func appended(m event.Message, at time.Time) event.Record {
	return event.Record{Time: at.UTC(), LogAppendTime: true, Key: m.Key, Value: m.Value, Headers: m.Headers}
}

// fetch gives at most so many records from an offset on.
func (t *topic) fetch(offset int64, most int) (consumer.Fetched, error) {
	if offset < t.start || offset > t.end {
		return consumer.Fetched{}, &consumer.OutOfRangeError{Topic: t.name, Partition: t.partition, Asked: offset, Start: t.start, End: t.end}
	}
	f := consumer.Fetched{Start: t.start, End: t.end, Next: offset}
	at := sort.Search(len(t.records), func(i int) bool { return t.records[i].LastOffset >= offset })
	for _, r := range t.records[at:min(at+most, len(t.records))] {
		r.Offset = max(r.Offset, offset) // of a batch that stands as one record
		f.Records = append(f.Records, r)
		f.Next = r.LastOffset + 1
	}
	return f, nil
}

// holding is the record that has an offset; nil where none has.
func (t *topic) holding(offset int64) *event.Record {
	at := sort.Search(len(t.records), func(i int) bool { return t.records[i].LastOffset >= offset })
	if at == len(t.records) || t.records[at].Offset > offset {
		return nil
	}
	return &t.records[at]
}

// drop is retention: what is below an offset goes.
func (t *topic) drop(below int64) { t.start = max(t.start, min(below, t.end)) }

func (t *topic) String() string { return fmt.Sprintf("%s/%d", t.name, t.partition) }
