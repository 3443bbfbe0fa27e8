package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
)

// member is one process of a group; owned is what it owns now.
type member struct {
	stop   context.CancelFunc
	done   chan error
	mu     sync.Mutex
	owned  map[int32]*consumer.Assignment
	change chan struct{}
}

func (p place) groupConfig() consumer.GroupConfig {
	return consumer.GroupConfig{
		Client: p.Client, GroupID: p.topic + "-group", Topic: p.topic, Log: slog.New(slog.DiscardHandler),
		Heartbeat: 100 * time.Millisecond,
	}
}

// join makes a member, whose owners only wait; with run they do that first.
func (p place) join(t *testing.T, run func(context.Context, *consumer.Assignment) error) *member {
	ctx, cancel := context.WithCancel(soon(t))
	m := &member{stop: cancel, done: make(chan error, 1), owned: map[int32]*consumer.Assignment{}, change: make(chan struct{}, 100)}
	go func() {
		m.done <- consumer.RunGroup(ctx, p.groupConfig(), func(ctx context.Context, a *consumer.Assignment) error {
			m.set(a.Partition(), a)
			defer m.set(a.Partition(), nil)
			if run != nil {
				if err := run(ctx, a); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	t.Cleanup(func() { m.leave(t) })
	return m
}

func (m *member) set(partition int32, a *consumer.Assignment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a == nil {
		delete(m.owned, partition)
	} else {
		m.owned[partition] = a
	}
}

func (m *member) leave(t *testing.T) {
	m.stop()
	select {
	case err := <-m.done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("RunGroup: %v", err)
		}
		m.done <- err
	case <-time.After(2 * time.Minute):
		t.Error("a member does not leave")
	}
}

func (m *member) partitions() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var owned []int32
	for p := range m.owned {
		owned = append(owned, p)
	}
	return owned
}

func (m *member) assignment(partition int32) *consumer.Assignment {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.owned[partition]
}

// settle waits until the members own so many partitions, each one its own.
func settle(t *testing.T, want ...any) {
	t.Helper()
	err := eventually(soon(t), func() error {
		owner := make(map[int32]bool)
		for i := 0; i < len(want); i += 2 {
			have := want[i].(*member).partitions()
			if len(have) != want[i+1].(int) {
				return fmt.Errorf("member %d owns %v, not %d of them", i/2, have, want[i+1])
			}
			for _, p := range have {
				if owner[p] {
					return fmt.Errorf("partition %d is owned twice", p)
				}
				owner[p] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRunGroup_handsOver(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4, nil)
	a := p.join(t, nil)
	settle(t, a, 4)
	b := p.join(t, nil)
	settle(t, a, 2, b, 2)
	a.leave(t)
	settle(t, a, 0, b, 4)
	c := p.join(t, nil)
	settle(t, b, 2, c, 2)
}

func TestRunGroup_waitsForTheTopic(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	p.topic += "-later"
	m := p.join(t, nil)
	makeTopic(t, p.Client, p.topic, 3, nil)
	settle(t, m, 3)
}

func TestRunGroup_commitsAreFenced(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	ctx := soon(t)
	first := p.join(t, nil)
	settle(t, first, 1)
	a := first.assignment(0)
	if _, found, err := a.Committed(ctx); found || err != nil {
		t.Errorf("before the first commit: %v, %v", found, err)
	}
	if err := a.Commit(ctx, 17, "source=12"); err != nil {
		t.Fatal(err)
	}
	want := broker.Offset{Offset: 17, Metadata: "source=12"}
	if have, found, err := a.Committed(ctx); have != want || !found || err != nil {
		t.Errorf("%+v, %v, %v", have, found, err)
	}
	first.leave(t)
	second := p.join(t, nil)
	settle(t, second, 1)
	if err := a.Commit(ctx, 5, ""); !errors.Is(err, broker.ErrFenced) {
		t.Errorf("a commit of a former owner: %v", err)
	}
	if have, _, err := second.assignment(0).Committed(ctx); have != want || err != nil {
		t.Errorf("%+v, %v", have, err)
	}
	if err := second.assignment(0).Commit(ctx, 18, ""); err != nil {
		t.Errorf("a commit of the owner: %v", err)
	}
}

func TestRunGroup_whatRunReturns(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2, nil)
	var mu sync.Mutex
	runs, done := 0, 0
	var assignments []*consumer.Assignment
	failures := []error{errors.New("broken"), consumer.ErrRejoin, errors.New("broken again"), fmt.Errorf("wrapped: %w", consumer.ErrRejoin)}
	m := p.join(t, func(_ context.Context, a *consumer.Assignment) error {
		if a.Partition() != 0 {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		assignments = append(assignments, a)
		if runs++; runs <= len(failures) {
			return failures[runs-1]
		}
		done++
		return nil
	})
	err := eventually(soon(t), func() error {
		mu.Lock()
		defer mu.Unlock()
		if done == 0 {
			return fmt.Errorf("%d runs", runs)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	settle(t, m, 2)
	// Only joining again makes another assignment, which tells the truth.
	for i, failure := range failures {
		if again := assignments[i] != assignments[i+1]; again != errors.Is(failure, consumer.ErrRejoin) {
			t.Errorf("after %q: joined again: %v", failure, again)
		}
	}
}

func TestRunGroup_badConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []consumer.GroupConfig{{}, {GroupID: "g", Topic: "t"}} {
		if err := consumer.RunGroup(soon(t), cfg, nil); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
