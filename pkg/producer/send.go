package producer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/internal/recordbatch"
)

// minBatchBytes is as far as the size of requests is brought down for a broker
// that takes less.
const minBatchBytes = 16 << 10

// run is the partition's worker: one batch after another, so that one request
// is in flight. After a restart a broker remembers only the last batch of each
// producer; of two in flight it could take one twice.
func (t *partition) run(ctx context.Context) {
	for b := t.take(ctx); b != nil; b = t.take(ctx) {
		t.send(ctx, b)
	}
	t.abandon()
}

// send tries until the batch is in the log, or certainly never will be, or the
// producer ends.
func (t *partition) send(ctx context.Context, b *batch) {
	var retry broker.Backoff
	for ctx.Err() == nil {
		done, err := t.try(ctx, b)
		if done {
			t.recycle(b)
			return
		}
		if err != nil {
			retry.Wait(ctx)
		}
	}
	t.close()
	if b.maybe {
		t.refuse(b, t.outcome(ErrUnknownOutcome, ErrClosed))
	} else {
		t.refuse(b, t.outcome(ErrClosed, nil))
	}
}

// try sends the batch once and draws the conclusions. It is to be called again
// until done, after a wait if there was an error.
func (t *partition) try(ctx context.Context, b *batch) (done bool, err error) {
	if err := t.ensureSession(ctx); err != nil {
		if !broker.Retriable(err) && !b.maybe && ctx.Err() == nil {
			t.refuse(b, t.outcome(ErrUnavailable, err))
			return true, nil
		}
		t.failed(b, err)
		return false, err
	}
	if !t.launch(b) {
		return true, nil
	}
	t.encode(b)
	res, err := t.produce(ctx, b)
	v := judge(err)
	if errors.Is(err, kafka.InvalidMessage) {
		// Damaged on its way; but not each time.
		if b.damaged++; b.damaged > 3 {
			v = refused
		}
	}
	if b.maybe && v > outOfStep { // an earlier try may be in the log all the same
		return t.resolve(ctx, b, v, err)
	}
	switch v {
	case stored:
		return t.stored(ctx, b, res)
	case again:
	case unclear:
		b.maybe = true
	case outOfStep:
		return t.resolve(ctx, b, v, err)
	case tooLarge, invalid:
		t.divide(b, v, err)
		return true, nil
	case refused:
		t.refuse(b, t.outcome(ErrUnavailable, err))
		return true, nil
	}
	t.failed(b, err)
	return false, err
}

// verdict is what one try means.
type verdict int

const (
	stored    verdict = iota // acknowledged
	again                    // not in the log; try again
	unclear                  // perhaps in the log; try the same again
	outOfStep                // the broker does not know our sequence: look into the log
	tooLarge                 // not in the log, for its size
	invalid                  // not in the log, for one of its records
	refused                  // not in the log, and no try will change that
)

// unanswered is the error of a request that had no answer.
type unanswered struct{ error }

func (e unanswered) Unwrap() error { return e.error }

func judge(err error) verdict {
	var silent unanswered
	var code kafka.Error
	switch {
	case err == nil:
		return stored
	case errors.As(err, &silent) && !broker.NotSent(err):
		return unclear
	case errors.As(err, &silent):
		if broker.Retriable(err) {
			return again
		}
		return refused
	case !errors.As(err, &code):
		return unclear
	}
	switch code {
	case kafka.OutOfOrderSequenceNumber, kafka.DuplicateSequenceNumber, kafka.InvalidProducerEpoch,
		kafka.UnknownProducerId, kafka.InvalidProducerIDMapping, kafka.ProducerFenced:
		return outOfStep
	case kafka.MessageSizeTooLarge, kafka.RecordListTooLarge:
		return tooLarge
	case kafka.InvalidRecord, kafka.InvalidTimestamp:
		return invalid
	case kafka.NotEnoughReplicas, kafka.InvalidMessage: // checked before anything is written
		return again
	case kafka.Unknown:
		return unclear
	}
	if broker.Retriable(code) {
		// Also "not the leader": it may have lost the partition while it
		// waited for the replicas, and these may have the batch.
		return unclear
	}
	return refused
}

func (t *partition) encode(b *batch) {
	if b.bytes != nil {
		return
	}
	var builder recordbatch.Builder
	builder.Reset(t.memory)
	t.memory = nil
	for _, part := range b.parts {
		messages := part.call.messages[part.from : part.from+part.n]
		for i := range messages {
			builder.Append(&messages[i])
		}
	}
	builder.Seal(t.session.producer, t.sequence)
	b.bytes = builder.Frame()
}

// recycle takes the batch's memory for the next one, unless a try that was
// given up may still be reading it.
func (t *partition) recycle(b *batch) {
	if b.tries == 1 {
		t.memory = b.bytes
	}
}

func (t *partition) produce(ctx context.Context, b *batch) (*kafka.ProduceResponse, error) {
	b.tries++
	began := time.Now()
	res, err := t.p.cfg.Client.Kafka().RawProduce(ctx, &kafka.RawProduceRequest{
		Topic:        t.p.cfg.Topic,
		Partition:    int(t.number),
		RequiredAcks: kafka.RequireAll,
		RawRecords:   protocol.RawRecordSet{Reader: bytes.NewReader(b.bytes)},
	})
	if err != nil {
		err = unanswered{err}
	} else if res.Error != nil {
		err = res.Error
	}
	b.took = time.Since(began)
	return res, err
}

// observe tells how a try ended.
func (t *partition) observe(b *batch, err error) {
	t.p.cfg.Observe(Stats{
		Partition: t.number, Records: b.count, Bytes: len(b.bytes), Try: b.tries, Took: b.took,
		Oldest: time.Since(b.since), Buffered: t.p.room.used(), Err: err,
	})
}

// stored takes the broker's word for it. The answer to a batch that it had
// already is the original offset.
func (t *partition) stored(ctx context.Context, b *batch, res *kafka.ProduceResponse) (done bool, err error) {
	offset, at := res.BaseOffset, res.LogAppendTime
	switch {
	case !b.maybe:
		t.stamps = createTime
		if !at.IsZero() {
			t.stamps = appendTime
		}
	case t.stamps == createTime:
		// On such a topic the answer to a repeated batch has a time all the same.
		at = time.Time{}
	case t.stamps == unknownTime || at.IsZero():
		place, err := t.find(ctx, b, offset)
		if err != nil {
			t.failed(b, err)
			return false, err
		}
		if !place.found { // gone already, or a broker that does not tell the truth
			t.session = nil
			t.refuse(b, t.outcome(ErrUnknownOutcome, fmt.Errorf("acknowledged at offset %d, and it is not there", offset)))
			return true, nil
		}
		at = place.at
	}
	t.sequence = recordbatch.NextSequence(t.sequence, b.count)
	t.session.floor = offset + int64(b.count)
	t.acknowledge(b, offset, at)
	return true, nil
}

// divide puts the records of a refused batch back, to be sent in smaller ones;
// a record that was alone is the culprit.
func (t *partition) divide(b *batch, v verdict, err error) {
	if b.count == 1 {
		outcome := ErrUnavailable
		if v == tooLarge {
			outcome = ErrTooLarge
		}
		t.refuse(b, t.outcome(outcome, fmt.Errorf("a record that makes a batch of %d bytes: %w", len(b.bytes), err)))
		return
	}
	t.observe(b, err)
	if half := len(b.bytes) / 2; v == tooLarge && half >= minBatchBytes {
		t.limit = half
	} else {
		t.single = b.count
	}
	t.putBack(b)
}
