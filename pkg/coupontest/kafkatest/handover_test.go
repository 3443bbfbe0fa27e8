package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// ledgerOfOwners holds that a partition has one owner at a time, from Assigned to Revoked.
type ledgerOfOwners struct {
	t     *testing.T
	mu    sync.Mutex
	owner map[int32]string
	story []string
}

func (l *ledgerOfOwners) note(who, what string, partition int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.story = append(l.story, fmt.Sprint(who, " ", what, " ", partition))
	switch is := l.owner[partition]; {
	case what == "assigned" && is != "":
		l.t.Errorf("partition %d is %s's, and %s begins with it: %q", partition, is, who, l.story)
	case what != "assigned" && is != who:
		l.t.Errorf("%s %s partition %d, which is %q's: %q", who, what, partition, is, l.story)
	}
	switch what {
	case "assigned":
		l.owner[partition] = who
	case "revoked":
		delete(l.owner, partition)
	}
}

func (l *ledgerOfOwners) owns(partition int32) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.owner[partition]
}

// slow is a handler that does not return before it is let, whatever becomes of its ownership.
type slow struct {
	name   string
	owners *ledgerOfOwners
	inside chan struct{} // a signal for each batch
	let    chan struct{} // closed: go on
}

func (s *slow) Assigned(_ context.Context, partition int32) (consumer.Start, error) {
	s.owners.note(s.name, "assigned", partition)
	return consumer.FromGroup(), nil
}

func (s *slow) Handle(_ context.Context, b consumer.Batch) error {
	s.owners.note(s.name, "begins", b.Partition)
	s.inside <- struct{}{}
	<-s.let
	s.owners.note(s.name, "ends", b.Partition)
	return nil
}

func (s *slow) Revoked(partition int32) { s.owners.note(s.name, "revoked", partition) }

// A partition changes hands between two batches, never in the middle of one: both where its owner leaves, and where
// somebody joins. What the former owner has done is committed by then.
func TestRun_handsOverWithoutOverlap(t *testing.T) {
	t.Parallel()
	for _, why := range []string{"the owner leaves", "another joins"} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, 2, nil)
			owners := &ledgerOfOwners{t: t, owner: map[int32]string{}}
			p.publish(t, 0, fact(0, 1), fact(0, 2))
			p.publish(t, 1, fact(1, 1), fact(1, 2))
			first := &slow{name: "first", owners: owners, inside: make(chan struct{}, 9), let: make(chan struct{})}
			second := &slow{name: "second", owners: owners, inside: make(chan struct{}, 9), let: make(chan struct{})}
			close(second.let)
			stopFirst := p.run(t, first)
			<-first.inside
			<-first.inside
			stopSecond := p.run(t, second)
			left := make(chan struct{})
			if why == "the owner leaves" {
				go func() { defer close(left); stopFirst() }()
			} else {
				close(left)
			}
			// The group waits for the first one's handler now.
			p.awaitRebalance(t)
			for partition := range int32(2) {
				if is := owners.owns(partition); is != "first" {
					t.Errorf("partition %d is %q's", partition, is)
				}
			}
			close(first.let)
			<-left
			if err := eventually(soon(t), func() error {
				if a, b := owners.owns(0), owners.owns(1); a != "second" && b != "second" {
					return fmt.Errorf("owned by %q and %q", a, b)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			stopSecond()
			stopFirst()
			for partition := range int32(2) {
				have, _, err := p.Committed(soon(t), p.groupConfig().GroupID, p.topic, partition)
				if want := (broker.Offset{Offset: 2, Metadata: "source=2"}); have != want || err != nil {
					t.Errorf("committed %+v, %v", have, err)
				}
			}
			if len(first.inside)+len(second.inside) > 0 {
				t.Errorf("handled again: %q", owners.story)
			}
		})
	}
}

// awaitRebalance waits until the group waits for its members.
func (p place) awaitRebalance(t *testing.T) {
	t.Helper()
	ctx := soon(t)
	err := eventually(ctx, func() error {
		described, err := p.Client.Kafka().DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{p.groupConfig().GroupID}})
		if err != nil {
			return err
		}
		if state := described.Groups[0].GroupState; state != "PreparingRebalance" {
			return fmt.Errorf("the group is %s", state)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A pause that is longer than the session costs no ownership: the member is alive, only its sink is not.
func TestRun_pauseKeepsThePartition(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2, nil)
	p.publish(t, 0, fact(0, 1))
	p.publish(t, 1, fact(1, 1))
	const pause = 7 * time.Second     // the session is 6 s
	began := sync.OnceValue(time.Now) // when the first batch has come
	h := &handler{handle: func(consumer.Batch) error {
		if time.Since(began()) < pause {
			return fmt.Errorf("the mail server is away: %w", consumer.ErrUnhealthy)
		}
		return nil
	}}
	var paused atomic.Int64
	p.run(t, h, func(c *consumer.Config) {
		c.Observe = func(s consumer.Stats) {
			if s.Paused {
				paused.Add(1)
			}
		}
	})
	h.await(t, 0, "[s1]")
	h.await(t, 1, "[s1]")
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.opened != 2 || h.revoked != 0 || paused.Load() < 10 {
		t.Errorf("%d times assigned, %d revoked, told of the pause %d times", h.opened, h.revoked, paused.Load())
	}
}

// Stop ends Run, with or without a group, once all partitions are let go; the next one begins with the record that failed.
func TestRun_stops(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*consumer.Config){"in a group": func(*consumer.Config) {}, "alone": alone} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, 3, nil)
			p.publish(t, 2, fact(2, 1), fact(2, 2), fact(2, 3))
			cause := errors.New("no such address")
			h := &handler{handle: func(b consumer.Batch) error {
				for i, r := range b.Records {
					if string(r.Value) == "s2" && i > 0 {
						return &consumer.RecordError{Offset: r.Offset, Err: cause}
					} else if string(r.Value) == "s2" {
						return cause
					}
				}
				return nil
			}}
			if name == "alone" {
				h.start = from(consumer.FromBeginning())
			}
			cfg := consumer.Config{
				Client: p.Client, GroupID: p.groupConfig().GroupID, Topic: p.topic, Log: p.groupConfig().Log,
				Retry: consumer.Retry{Attempts: 2, Min: time.Millisecond, Then: consumer.Stop},
			}
			change(&cfg)
			err := consumer.Run(soon(t), cfg, h)
			var stop *consumer.StopError
			if !errors.As(err, &stop) || stop.Topic != p.topic || stop.Partition != 2 || stop.Offset != 1 || !errors.Is(err, cause) {
				t.Fatalf("Run: %v", err)
			}
			if h.opened != h.revoked {
				t.Errorf("%d times assigned, %d revoked", h.opened, h.revoked)
			}
			if name == "alone" {
				return
			}
			have, _, err := p.Committed(soon(t), cfg.GroupID, p.topic, 2)
			if want := (broker.Offset{Offset: 1, Metadata: "source=1"}); have != want || err != nil {
				t.Errorf("committed %+v, %v", have, err)
			}
			next := &handler{}
			p.run(t, next)
			next.await(t, 2, "[s2 s3]")
		})
	}
}

// What a handler gives up lies in the downstream's own dead letters, and the group moves on.
func TestRun_givesUp(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	box := p
	box.topic = p.topic + "-dead"
	makeTopic(t, p.Client, box.topic, 1, nil)
	p.publish(t, 0, fact(0, 1), fact(0, 2), fact(0, 3), fact(0, 4))
	h := &handler{handle: func(b consumer.Batch) error {
		for _, r := range b.Records {
			if string(r.Value) == "s3" {
				return errors.New("no such address")
			}
		}
		return nil
	}}
	stop := p.run(t, h, func(c *consumer.Config) {
		c.DeadLetters = box.producer(t)
		c.Retry = consumer.Retry{Attempts: 2, Min: time.Millisecond, Then: consumer.DeadLetter}
	})
	h.await(t, 0, "[s1 s2 s4]")
	stop()
	dead := box.all(t, 0)
	if len(dead) != 1 {
		t.Fatalf("%d dead letters", len(dead))
	}
	letter, err := event.ReadDeadLetter(dead[0])
	if err != nil || letter.Reason != event.ReasonHandlerFailed || letter.Detail != "no such address" || letter.Record.Offset != 2 || letter.Record.Topic != p.topic {
		t.Errorf("%+v, %v", letter, err)
	}
	have, _, err := p.Committed(soon(t), p.groupConfig().GroupID, p.topic, 0)
	if want := (broker.Offset{Offset: 4, Metadata: "source=4"}); have != want || err != nil {
		t.Errorf("committed %+v, %v", have, err)
	}
}
