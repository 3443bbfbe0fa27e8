package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// handler keeps what it is handed. Its hooks may be nil.
type handler struct {
	start  func(partition int32) consumer.Start
	handle func(b consumer.Batch) error
	idle   func(partition int32) error

	mu      sync.Mutex
	values  map[int32][]string
	last    map[int32]consumer.Batch
	opened  int
	revoked int
}

func (h *handler) Assigned(_ context.Context, partition int32) (consumer.Start, error) {
	h.mu.Lock()
	h.opened++
	h.mu.Unlock()
	if h.start != nil {
		return h.start(partition), nil
	}
	return consumer.FromGroup(), nil
}

func (h *handler) Handle(_ context.Context, b consumer.Batch) error {
	if h.handle != nil {
		if err := h.handle(b); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.values == nil {
		h.values, h.last = map[int32][]string{}, map[int32]consumer.Batch{}
	}
	for _, r := range b.Records {
		h.values[b.Partition] = append(h.values[b.Partition], string(r.Value))
	}
	h.last[b.Partition] = b
	return nil
}

func (h *handler) Revoked(int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revoked++
}

func (h *handler) Idle(_ context.Context, partition int32) error {
	if h.idle != nil {
		return h.idle(partition)
	}
	return nil
}

func (h *handler) have(partition int32) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprint(h.values[partition])
}

func (h *handler) await(t *testing.T, partition int32, want string) {
	t.Helper()
	err := eventually(soon(t), func() error {
		if have := h.have(partition); have != want {
			return fmt.Errorf("partition %d: handled %s, want %s", partition, have, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run consumes until stop, which waits.
func (p place) run(t *testing.T, h consumer.Handler, change ...func(*consumer.Config)) (stop func()) {
	t.Helper()
	group := p.groupConfig()
	cfg := consumer.Config{
		Client: group.Client, GroupID: group.GroupID, Topic: group.Topic, Log: group.Log, Heartbeat: group.Heartbeat,
		Fetch: consumer.FetchConfig{MaxWait: 100 * time.Millisecond},
	}
	for _, c := range change {
		c(&cfg)
	}
	ctx, cancel := context.WithCancel(soon(t))
	done := make(chan error, 1)
	go func() { done <- consumer.Run(ctx, cfg, h) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (p place) publish(t *testing.T, partition int32, messages ...event.Message) {
	t.Helper()
	if _, err := p.producer(t).PublishTo(soon(t), partition, messages...); err != nil {
		t.Fatal(err)
	}
}

func text(s string) event.Message { return event.Message{Value: []byte(s)} }

// fact is a journal record of a source in that partition.
func fact(partition int32, source int64) event.Message {
	at := uint64(source)<<16 | 8<<12 | uint64(partition)
	id := fmt.Sprintf("%08x-%04x-%04x-8000-000000000000", at>>32, at>>16&0xffff, at&0xffff)
	return event.Message{Value: fmt.Appendf(nil, "s%d", source), Headers: []event.Header{
		{Key: "ce_id", Value: []byte(id)}, {Key: "ce_source", Value: []byte(event.JournalSource("coupon.requests", partition))},
	}}
}

func TestRun_startsFromTheGroup(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2, nil)
	p.publish(t, 0, text("a"), text("b"))
	p.publish(t, 1, text("x"))
	first := &handler{}
	stop := p.run(t, first)
	first.await(t, 0, "[a b]")
	first.await(t, 1, "[x]")
	stop()
	if first.opened != first.revoked || first.opened < 2 {
		t.Errorf("%d times assigned, %d revoked", first.opened, first.revoked)
	}
	p.publish(t, 0, text("c"))
	second := &handler{}
	p.run(t, second)
	second.await(t, 0, "[c]")
	if have := second.have(1); have != "[]" {
		t.Errorf("handled again: %s", have)
	}
}

func TestRun_dropsDuplicates(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 3, nil)
	p.publish(t, 2, fact(2, 5), fact(2, 9), fact(2, 5), fact(2, 9), text("no source"), fact(2, 7), fact(2, 10), fact(1, 3))
	h := &handler{}
	stop := p.run(t, h)
	h.await(t, 2, "[s5 s9 no source s10 s3]")
	stop()
	if b := h.last[2]; b.HighestSource != 10 || b.Next != 8 {
		t.Errorf("highest source %d, next %d", b.HighestSource, b.Next)
	}
	have, found, err := p.Committed(soon(t), p.groupConfig().GroupID, p.topic, 2)
	if want := (broker.Offset{Offset: 8, Metadata: "source=10"}); have != want || !found || err != nil {
		t.Errorf("committed %+v, %v, %v", have, found, err)
	}
	t.Run("after the group's offset", func(t *testing.T) {
		p.publish(t, 2, fact(2, 10), fact(2, 1), fact(2, 11))
		h := &handler{}
		p.run(t, h)
		h.await(t, 2, "[s11]")
	})
	t.Run("after an own offset", func(t *testing.T) {
		h := &handler{start: func(int32) consumer.Start { return consumer.From(2, 8) }}
		p.run(t, h, func(c *consumer.Config) { c.GroupID += "-own" })
		h.await(t, 2, "[s9 no source s10 s3 s11]")
	})
}

func TestRun_handlesAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	p.publish(t, 0, text("a"), text("b"))
	failures := 3
	h := &handler{handle: func(consumer.Batch) error {
		if failures--; failures >= 0 {
			return errors.New("the store is away")
		}
		return nil
	}}
	p.run(t, h)
	h.await(t, 0, "[a b]")
}

// What is committed for the next owner must not cover what failed: neither its
// offset nor its highest source, by which it would be dropped as a duplicate.
func TestRun_whatFailedComesToTheNextOwner(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	p.publish(t, 0, fact(0, 1), fact(0, 2))
	failed := make(chan struct{}, 1)
	first := &handler{handle: func(b consumer.Batch) error {
		if b.Records[0].Offset == 0 {
			return nil
		}
		select {
		case failed <- struct{}{}:
		default:
		}
		return errors.New("the store is away")
	}}
	stop := p.run(t, first)
	first.await(t, 0, "[s1 s2]")
	p.publish(t, 0, fact(0, 3), fact(0, 4))
	<-failed
	stop()
	have, _, err := p.Committed(soon(t), p.groupConfig().GroupID, p.topic, 0)
	if want := (broker.Offset{Offset: 2, Metadata: "source=2"}); have != want || err != nil {
		t.Errorf("committed %+v, %v", have, err)
	}
	second := &handler{}
	p.run(t, second)
	second.await(t, 0, "[s3 s4]")
}

func TestRun_beginsAgain(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"handle", "idle"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, 1, nil)
			p.publish(t, 0, text("a"), text("b"))
			h := &handler{}
			h.start = func(int32) consumer.Start { return consumer.From(int64(h.opened-1), consumer.NoSource) }
			again := func() error {
				h.mu.Lock()
				defer h.mu.Unlock()
				if h.opened == 1 {
					return fmt.Errorf("restored from a backup: %w", consumer.ErrReassign)
				}
				return nil
			}
			want := "[b]"
			if where == "handle" {
				h.handle = func(consumer.Batch) error { return again() }
			} else {
				h.idle, want = func(int32) error { return again() }, "[a b b]"
			}
			p.run(t, h)
			h.await(t, 0, want)
		})
	}
}

func TestRun_deadLetters(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	letters := p
	letters.topic = p.topic + "-dead"
	makeTopic(t, p.Client, letters.topic, 1, nil)
	p.publish(t, 0, text("a"), text("bad"), text("b"), text("bad"))
	h := &handler{handle: func(b consumer.Batch) error {
		for _, r := range b.Records {
			if string(r.Value) == "bad" {
				return fmt.Errorf("decoding: %w", &consumer.RejectError{Offset: r.Offset, Reason: event.ReasonInvalid, Detail: "it is bad"})
			}
		}
		return nil
	}}
	stop := p.run(t, h, func(c *consumer.Config) { c.DeadLetters = letters.producer(t) })
	h.await(t, 0, "[a b]")
	stop()
	dead := letters.all(t, 0)
	if len(dead) != 2 {
		t.Fatalf("%d dead letters", len(dead))
	}
	for i, want := range []string{"1", "3"} {
		r := dead[i]
		if header(r, "fc_offset") != want || header(r, "fc_reason") != "invalid" || header(r, "fc_topic") != p.topic || string(r.Value) != "bad" {
			t.Errorf("%+v", r)
		}
	}
	if have, _, err := p.Committed(soon(t), p.groupConfig().GroupID, p.topic, 0); have.Offset != 4 || err != nil {
		t.Errorf("committed %+v, %v", have, err)
	}
}

func TestRun_neverSkips(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	for _, s := range []string{"a", "b", "c"} {
		p.publish(t, 0, text(s))
	}
	p.servers.Truncate(t, p.topic, 0, 2)
	offset := int64(1)
	h := &handler{}
	h.start = func(int32) consumer.Start {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.opened > 2 { // the operator's choice
			offset = 2
		}
		return consumer.From(offset, consumer.NoSource)
	}
	p.run(t, h)
	h.await(t, 0, "[c]")
	if h.opened < 3 {
		t.Errorf("assigned %d times", h.opened)
	}
}

func TestRun_manyMembers(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6, nil)
	const each = 300
	seen := make(map[string]int)
	var mu sync.Mutex
	newMember := func() func() {
		return p.run(t, &handler{handle: func(b consumer.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range b.Records {
				seen[fmt.Sprintf("%d/%s", b.Partition, r.Value)]++
			}
			return nil
		}})
	}
	count := func(want int) {
		t.Helper()
		err := eventually(soon(t), func() error {
			mu.Lock()
			defer mu.Unlock()
			if len(seen) < want {
				return fmt.Errorf("%d of %d records handled", len(seen), want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	made := p.producer(t, func(c *producer.Config) { c.MaxBatchBytes = 1000 })
	published := make(chan struct{})
	go func() {
		defer close(published)
		for n := range each {
			for partition := range int32(6) {
				if _, err := made.PublishTo(soon(t), partition, text(fmt.Sprint(n))); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	stopA := newMember()
	count(50)
	newMember()
	stopC := newMember()
	count(300)
	stopA()
	stopC()
	<-published
	count(6 * each)
}
