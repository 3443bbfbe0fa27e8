package producer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/internal/fetch"
	"github.com/firstcome/firstcome/pkg/internal/recordbatch"
)

// session is what the broker knows us by. Each partition has its own, so that
// one whose sequence is lost does not disturb the others.
type session struct {
	producer recordbatch.Producer
	// floor is an offset below which no batch of this session is unaccounted
	// for.
	floor int64
}

// stamps is which kind of timestamps the topic has, as far as is known.
type stamps int8

const (
	unknownTime stamps = iota
	createTime
	appendTime
)

func (t *partition) ensureSession(ctx context.Context) error {
	if t.session != nil {
		return nil
	}
	res, err := t.p.cfg.Client.Kafka().InitProducerID(ctx, &kafka.InitProducerIDRequest{ProducerID: -1, ProducerEpoch: -1})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		return fmt.Errorf("asking for a producer id: %w", err)
	}
	_, end, err := t.p.cfg.Client.Bounds(ctx, t.p.cfg.Topic, t.number)
	if err != nil {
		return err
	}
	id := recordbatch.Producer{ID: int64(res.Producer.ProducerID), Epoch: int16(res.Producer.ProducerEpoch)}
	t.session, t.sequence = &session{producer: id, floor: end}, 0
	return nil
}

// resolve is for a batch that the broker refuses because its idea of our
// sequence is another (it has lost its state, or acknowledged records are
// gone), while an earlier try may be in the log. The log itself tells: batches
// there carry producer and sequence. Either way a new session begins.
//
// A batch that is not there is sent again, to be refused again where it was
// too large or invalid: then no try was ever taken. Other refusals (a
// permission that was withdrawn, say) prove nothing about the earlier try,
// which may be waiting for its replicas, where nobody can read it.
func (t *partition) resolve(ctx context.Context, b *batch, v verdict, why error) (done bool, err error) {
	place, err := t.find(ctx, b, t.session.floor)
	if err != nil {
		b.maybe = true
		t.failed(b, err)
		return false, err
	}
	t.session = nil
	if place.found {
		t.acknowledge(b, place.offset, place.at)
		return true, nil
	}
	if v == refused {
		t.refuse(b, t.outcome(ErrUnknownOutcome, why))
		return true, nil
	}
	b.maybe, b.bytes = false, nil
	t.failed(b, why)
	return false, nil
}

// place is where a batch stands.
type place struct {
	found  bool
	offset int64
	at     time.Time // append time, if it is one
}

// find reads the log from an offset to its end and looks for the batch.
func (t *partition) find(ctx context.Context, b *batch, from int64) (place, error) {
	client, topic := t.p.cfg.Client, t.p.cfg.Topic
	start, end, err := client.Bounds(ctx, topic, t.number)
	if err != nil {
		return place{}, err
	}
	if from < start || from > end {
		from = start // acknowledged records are gone: this may be anywhere
	}
	conn, err := fetch.Dial(ctx, client, topic, t.number)
	if err != nil {
		return place{}, err
	}
	defer conn.Close()
	ask := fetch.Request{Offset: from, MaxBytes: 4 << 20, MaxWait: 100 * time.Millisecond}
	for ask.Offset < end {
		res, err := conn.Fetch(ctx, ask)
		if err != nil {
			return place{}, err
		}
		found, next, need := t.search(b, res.Records, ask.Offset)
		if found.found {
			return found, nil
		}
		ask.Offset, ask.MaxBytes = next, max(ask.MaxBytes, int32(need))
	}
	return place{}, nil
}

// search looks through the headers of some batches; next is the offset after
// them, need the bytes of a batch that was cut off.
func (t *partition) search(b *batch, records []byte, from int64) (p place, next int64, need int) {
	next = from
	for len(records) > 0 {
		have, rest, err := recordbatch.Next(records)
		var cut *recordbatch.TruncatedError
		if errors.As(err, &cut) {
			return p, next, cut.Need
		}
		if err != nil { // another's trouble
			return p, max(next+1, have.LastOffset+1), 0
		}
		if have.Producer == t.session.producer && have.Sequence == t.sequence && int(have.Count) == b.count {
			p = place{found: true, offset: have.BaseOffset}
			if have.LogAppendTime() {
				p.at = time.UnixMilli(have.MaxTime).UTC()
			}
			return p, next, 0
		}
		records, next = rest, max(next, have.LastOffset+1)
	}
	return p, next, 0
}
