package kafkatest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// These tests make the broker itself misbehave, so they are on kfake always.
// It knows CreateTime only, whatever a topic's settings say.

type fake struct {
	place
	*kfake.Cluster
}

func newFake(t testing.TB, brokers, partitions int, options ...kfake.Opt) fake {
	t.Helper()
	cluster, err := kfake.NewCluster(append(options, kfake.NumBrokers(brokers))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := broker.New(broker.Config{Brokers: cluster.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	makeTopic(t, client, "topic", partitions, nil)
	return fake{place{Client: client, topic: "topic"}, cluster}
}

func (f fake) failProduce(err *kerr.Error, count int) *kfake.FaultHandle {
	return f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: f.topic, Err: err, Count: count})
}

func TestProducer_afterFailuresRecordsAreInTheLogOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  *kerr.Error
	}{
		{"timed out, though written", kerr.RequestTimedOut},
		{"written, though not by enough", kerr.NotEnoughReplicasAfterAppend},
		{"not enough replicas", kerr.NotEnoughReplicas},
		{"not the leader", kerr.NotLeaderForPartition},
		{"storage", kerr.KafkaStorageError},
		{"damaged on its way", kerr.CorruptMessage},
		{"unknown server error", kerr.UnknownServerError},
		{"sequence not known", kerr.OutOfOrderSequenceNumber},
		{"producer not known", kerr.UnknownProducerID},
		{"epoch not known", kerr.InvalidProducerEpoch},
	}
	for _, tt := range tests {
		for _, first := range []bool{true, false} {
			name := tt.name + ", the first record"
			if !first {
				name = tt.name + ", a later record"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := newFake(t, 1, 1)
				observed := 0
				made := f.producer(t, func(c *producer.Config) {
					c.Observe = func(s producer.Stats) {
						if s.Err == nil {
							observed += s.Records
						}
					}
				})
				ctx := soon(t)
				total := 3
				if !first {
					if _, err := made.PublishTo(ctx, 0, numbered("row", 0)); err != nil {
						t.Fatal(err)
					}
				} else {
					total = 2
				}
				fault := f.failProduce(tt.err, 2)
				acks, err := made.PublishTo(ctx, 0, numbered("row", total-2), numbered("row", total-1))
				if err != nil {
					t.Fatal(err)
				}
				if fault.Hits() == 0 {
					t.Fatal("the fault was not met")
				}
				records := f.all(t, 0)
				checkRows(t, map[int32][]event.Record{0: records}, 1, total)
				if observed != total {
					t.Errorf("%d records observed as acknowledged, not %d", observed, total)
				}
				for i, ack := range acks {
					if r := records[total-2+i]; ack.Offset != r.Offset || !ack.AppendTime.IsZero() {
						t.Errorf("acknowledged %+v, in the log %+v", ack, r)
					}
				}
			})
		}
	}
}

// The first try is written and not answered, the second finds a broker that
// has forgotten our sequence: only the log can tell.
func TestProducer_looksIntoTheLogWhenTheSequenceIsLost(t *testing.T) {
	t.Parallel()
	for _, lost := range []*kerr.Error{kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerEpoch, kerr.DuplicateSequenceNumber} {
		t.Run(lost.Message, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, 1, 1)
			made := f.producer(t)
			ctx := soon(t)
			// Others write too: theirs must not be taken for ours.
			if _, err := f.producer(t).PublishTo(ctx, 0, event.Message{Headers: numbered("other", 0).Headers}); err != nil {
				t.Fatal(err)
			}
			f.failProduce(kerr.RequestTimedOut, 1)
			fault := f.failProduce(lost, 1)
			acks, err := made.PublishTo(ctx, 0, numbered("row", 0))
			if err != nil {
				t.Fatal(err)
			}
			if fault.Hits() != 1 {
				t.Fatal("the fault was not met")
			}
			if acks[0].Offset != 1 {
				t.Errorf("acknowledged %+v", acks[0])
			}
			if _, err := made.PublishTo(ctx, 0, numbered("row", 1)); err != nil {
				t.Fatal(err)
			}
			if have := len(f.all(t, 0)); have != 3 {
				t.Errorf("%d records in the log, want 3", have)
			}
		})
	}
}

// The first try is not written and not answered, and the broker forgets our
// sequence; another's batch with the same sequence is not ours.
func TestProducer_doesNotTakeAnothersBatchForItsOwn(t *testing.T) {
	t.Parallel()
	f := newFake(t, 1, 1)
	made, other := f.producer(t), f.producer(t)
	ctx := soon(t)
	if _, err := made.PublishTo(ctx, 0, numbered("row", 0)); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if _, err := other.PublishTo(ctx, 0, numbered("other", n)); err != nil {
			t.Fatal(err)
		}
	}
	f.failProduce(kerr.NotLeaderForPartition, 1)
	f.failProduce(kerr.OutOfOrderSequenceNumber, 1)
	acks, err := made.PublishTo(ctx, 0, numbered("row", 1))
	if err != nil || acks[0].Offset != 3 {
		t.Errorf("%v, %+v", err, acks)
	}
	if have := f.all(t, 0); len(have) != 4 || header(have[3], "row") != "row" {
		t.Errorf("%d records in the log", len(have))
	}
}

// A refusal says nothing about an earlier try that was written and not
// answered.
func TestProducer_refusedAfterItWasWritten(t *testing.T) {
	t.Parallel()
	for _, refusal := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.MessageTooLarge, kerr.InvalidRecord, kerr.PolicyViolation} {
		t.Run(refusal.Message, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, 1, 1)
			f.failProduce(kerr.RequestTimedOut, 1)
			f.failProduce(refusal, 1)
			acks, err := f.producer(t).PublishTo(soon(t), 0, numbered("row", 0), numbered("row", 1))
			if err != nil || len(acks) != 2 {
				t.Errorf("%v, %+v", err, acks)
			}
			checkRows(t, map[int32][]event.Record{0: f.all(t, 0)}, 1, 2)
		})
	}
}

func TestProducer_refusedAndNotFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		refusal *kerr.Error
		want    error // nil: it was worth another try
	}{
		{kerr.TopicAuthorizationFailed, producer.ErrUnknownOutcome}, // nobody can tell
		{kerr.MessageTooLarge, nil},
		{kerr.InvalidRecord, nil},
	}
	for _, tt := range tests {
		t.Run(tt.refusal.Message, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, 1, 1)
			made := f.producer(t)
			f.failProduce(kerr.NotLeaderForPartition, 1) // not written, but who knows
			f.failProduce(tt.refusal, 1)
			_, err := made.PublishTo(soon(t), 0, numbered("row", 0), numbered("row", 1))
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if _, err := made.PublishTo(soon(t), 0, numbered("other", 0)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestProducer_refusals(t *testing.T) {
	t.Parallel()
	f := newFake(t, 1, 1)
	made := f.producer(t)
	ctx := soon(t)
	f.failProduce(kerr.TopicAuthorizationFailed, 1)
	if _, err := made.PublishTo(ctx, 0, numbered("row", 0)); !errors.Is(err, producer.ErrUnavailable) {
		t.Errorf("not authorised: %v", err)
	}
	f.failProduce(kerr.InvalidRecord, 1)
	if _, err := made.PublishTo(ctx, 0, numbered("row", 0)); !errors.Is(err, producer.ErrUnavailable) {
		t.Errorf("invalid: %v", err)
	}
	f.failProduce(kerr.InvalidRecord, 1) // of several together: each alone then
	if acks, err := made.PublishTo(ctx, 0, numbered("row", 0), numbered("row", 1), numbered("row", 2)); err != nil || len(acks) != 3 {
		t.Errorf("one of several invalid: %d, %v", len(acks), err)
	}
	if _, err := made.PublishTo(ctx, 0, numbered("row", 3)); err != nil {
		t.Error(err)
	}
	checkRows(t, map[int32][]event.Record{0: f.all(t, 0)}, 1, 4)
}

func TestProducer_givingUp(t *testing.T) {
	t.Parallel()
	t.Run("before it was written it is taken back", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, 1, 1)
		tries := make(chan int, 1000)
		made := f.producer(t, func(c *producer.Config) { c.Observe = func(s producer.Stats) { tries <- s.Try } })
		fault := f.failProduce(kerr.NotEnoughReplicas, -1)
		ctx, cancel := context.WithCancel(soon(t))
		publish := func(n int) <-chan error {
			result := make(chan error, 1)
			go func() {
				_, err := made.PublishTo(ctx, 0, numbered("row", n))
				result <- err
			}()
			return result
		}
		first := publish(99)
		for try := range tries {
			if try == 6 { // the next one is half a second away, at least
				break
			}
		}
		behind := publish(98)
		if made.OldestUnacknowledged(0) <= 0 {
			t.Error("nothing unacknowledged")
		}
		if err := (&broker.Backoff{}).Wait(ctx); err != nil { // the try's end is dealt with
			t.Fatal(err)
		}
		cancel()
		for _, result := range []<-chan error{first, behind} {
			if err := <-result; !errors.Is(err, producer.ErrUnavailable) || !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		fault.Remove()
		if _, err := made.PublishTo(soon(t), 0, numbered("row", 0)); err != nil {
			t.Fatal(err)
		}
		checkRows(t, map[int32][]event.Record{0: f.all(t, 0)}, 1, 1)
		if age := made.OldestUnacknowledged(0); age != 0 {
			t.Errorf("unacknowledged for %v", age)
		}
	})
	t.Run("after that its outcome is unknown and it is in the log once", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, 1, 1)
		made := f.producer(t)
		fault := f.failProduce(kerr.RequestTimedOut, -1)
		ctx, cancel := context.WithCancel(soon(t))
		result := make(chan error, 1)
		go func() {
			_, err := made.PublishTo(ctx, 0, numbered("row", 0))
			result <- err
		}()
		if err := fault.Wait(ctx, 2); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-result; !errors.Is(err, producer.ErrUnknownOutcome) || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if made.OldestUnacknowledged(0) <= 0 {
			t.Error("it is not being tried any more")
		}
		fault.Remove()
		if _, err := made.PublishTo(soon(t), 0, numbered("row", 1)); err != nil {
			t.Fatal(err)
		}
		checkRows(t, map[int32][]event.Record{0: f.all(t, 0)}, 1, 2)
	})
	t.Run("the configured time-out counts as the caller's", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, 1, 1)
		f.failProduce(kerr.NotEnoughReplicas, -1)
		made := f.producer(t, func(c *producer.Config) { c.Timeout = 100 * time.Millisecond })
		if _, err := made.PublishTo(soon(t), 0, numbered("row", 0)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestProducer_closedWhileTheBrokerRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  *kerr.Error
		want error
	}{{kerr.NotEnoughReplicas, producer.ErrClosed}, {kerr.RequestTimedOut, producer.ErrUnknownOutcome}} {
		t.Run(tt.err.Message, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, 1, 1)
			made := f.producer(t)
			fault := f.failProduce(tt.err, -1)
			first, second := make(chan error, 1), make(chan error, 1)
			go func() { _, err := made.PublishTo(soon(t), 0, numbered("row", 0)); first <- err }()
			if err := fault.Wait(soon(t), 3); err != nil {
				t.Fatal(err)
			}
			go func() { _, err := made.PublishTo(soon(t), 0, numbered("row", 1)); second <- err }()
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			defer cancel()
			if err := made.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Close: %v", err)
			}
			if err := <-first; !errors.Is(err, tt.want) && !(errors.Is(err, producer.ErrUnknownOutcome)) {
				t.Errorf("the one under way: %v", err)
			}
			if err := <-second; !errors.Is(err, producer.ErrClosed) {
				t.Errorf("the one behind: %v", err)
			}
		})
	}
}
