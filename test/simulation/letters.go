package simulation

import (
	"context"
	"strconv"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// lettersOf is the topic as one that buries records of a topic sees it.
type lettersOf struct {
	w     *World
	topic string
}

func (l lettersOf) PublishTo(_ context.Context, number int32, messages ...event.Message) ([]producer.Ack, error) {
	w := l.w
	if w.refuses.letters > w.now() {
		w.saw("the dead letters' topic refuses")
		return nil, errRefused
	}
	var acks []producer.Ack
	for _, m := range messages {
		acks = append(acks, producer.Ack{Partition: number, Offset: w.letters})
		w.letters++
		w.buried(m)
	}
	return acks, nil
}

// buried looks whether a dead letter is of a record that had to become one, for that reason.
func (w *World) buried(m event.Message) {
	r := message(m)
	topic, offset := header(r, "fc_topic"), int64(-1)
	p, err := strconv.Atoi(header(r, "fc_partition"))
	if err == nil {
		offset, err = strconv.ParseInt(header(r, "fc_offset"), 10, 64)
	}
	if err != nil || p < 0 || p >= len(w.places) {
		w.breach("a dead letter does not say where it came from: %v", m.Headers)
		return
	}
	place := w.places[p]
	if topic != place.requests.name {
		w.breach("a dead letter of %s", topic)
		return
	}
	from := place.requests.holding(offset)
	if from == nil {
		w.breach("a dead letter of offset %d of %v, which has no record", offset, place.requests)
		return
	}
	a := place.asked[from.Offset]
	if string(a.refused) != header(r, "fc_reason") || string(r.Key) != string(from.Key) || string(r.Value) != string(from.Value) {
		w.breach("the dead letter of offset %d of %v says %s, and not %q, or other bytes", offset, place.requests, header(r, "fc_reason"), a.refused)
	}
	place.model.Letters[from.Offset]++
}

// partitionOf is the partition that a dead letter came from.
func partitionOf(m event.Message) int32 {
	p, err := strconv.Atoi(header(event.Record{Headers: m.Headers}, "fc_partition"))
	if err != nil {
		return 0
	}
	return int32(p)
}

func header(r event.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
