package simulation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"testing/synctest"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

var quiet = slog.New(slog.DiscardHandler)

// consuming is a process that consumes the journal: consumer.RunPartition in a goroutine for each partition. The goroutines
// do nothing but wait in a call, until the scheduler lets it happen.
type consuming struct {
	*process
	handler func() consumer.Handler // a new process has a new one
	current consumer.Handler
	runs    []*consumption
}

// consumption is one ownership of one partition.
type consumption struct {
	partition  int32
	generation int
	end        context.CancelFunc
	stopped    bool
}

func (w *World) newConsumer(name string, g *group, handler func(*process) consumer.Handler) {
	c := &consuming{process: w.newProcess(name, g)}
	c.role, c.handler = c, func() consumer.Handler { return handler(c.process) }
}

func (c *consuming) own(p int32, generation int) {
	c.disown(p)
	if c.current == nil {
		c.current = c.handler()
	}
	place := c.w.places[p]
	ctx, end := context.WithCancel(context.Background())
	c.runs = append(c.runs, &consumption{p, generation, end, false})
	log := asking{c.process, membership{c.group, place.journal, generation, c.w.config.fetchMost}}
	cfg := consumer.PartitionConfig{Partition: p, CommitEvery: c.w.config.commitEvery, Log: quiet, DeadLetters: askingLetters{c.process, p, place.journal.name}}
	handler := c.current
	go c.w.keep(ctx, c.name, func() error { return consumer.RunPartition(ctx, cfg, log, handler) })
	synctest.Wait() // one goroutine at a time: two would come with their calls in any order
}

// keep is what consumer.RunGroup does for a partition that it owns.
func (w *World) keep(ctx context.Context, name string, run func() error) {
	defer func() {
		if err := recover(); err != nil {
			w.fell(fmt.Sprintf("%s: panic: %v\n%s", name, err, debug.Stack()))
		}
	}()
	var retry broker.Backoff
	for ctx.Err() == nil {
		if err := run(); errors.Is(err, consumer.ErrRejoin) {
			w.fell(fmt.Sprintf("%s: it wants to join the group again: %v", name, err))
			return
		}
		if retry.Wait(ctx) != nil {
			return
		}
	}
}

func (c *consuming) disown(p int32) {
	for _, r := range c.runs {
		if r.partition == p && !r.stopped {
			r.stopped = true
			r.end()
			synctest.Wait()
		}
	}
}

func (c *consuming) stale(p int32) bool {
	for _, r := range c.runs {
		if r.partition == p && !r.stopped && !c.group.owns(c.member, p, r.generation) {
			return true
		}
	}
	return false
}

func (c *consuming) forget() {
	for _, r := range c.runs {
		r.end()
		synctest.Wait()
	}
	c.runs, c.current = nil, nil
}

func (c *consuming) tick()            {}
func (c *consuming) items(func(item)) {}

// asking is a membership whose every look is a call.
type asking struct {
	p *process
	m membership
}

var _ consumer.Log = asking{}

func (a asking) call(kind, format string, args ...any) *call {
	return &call{kind: a.p.group.name + " " + kind, partition: a.m.topic.partition, what: sayable{"p%d " + format, append([]any{a.m.topic.partition}, args...)}}
}

func (a asking) Fetch(ctx context.Context, offset int64) (consumer.Fetched, error) {
	c := a.call("fetch", "fetch %d", offset)
	c.ready, c.empty = a.p.w.poll(a.m.topic, offset)
	return ask(ctx, a.p, c, func() (consumer.Fetched, error) { return a.m.Fetch(ctx, offset) })
}

func (a asking) Bounds(ctx context.Context) (start, end int64, err error) {
	b, err := ask(ctx, a.p, a.call("bounds", "bounds"), func() ([2]int64, error) {
		return [2]int64{a.m.topic.start, a.m.topic.end}, nil
	})
	return b[0], b[1], err
}

func (a asking) Committed(ctx context.Context) (broker.Offset, bool, error) {
	c, err := ask(ctx, a.p, a.call("read committed", "read committed"), func() (committed, error) {
		offset, found, err := a.m.Committed(ctx)
		a.p.w.begins(a.p, a.m.topic.partition, offset, found)
		return committed{offset, found}, err
	})
	return c.Offset, c.found, err
}

func (a asking) Commit(ctx context.Context, offset int64, metadata string) error {
	_, err := ask(ctx, a.p, a.call("commit", "commit %d %s", offset, metadata), func() (struct{}, error) {
		return struct{}{}, a.m.Commit(ctx, offset, metadata)
	})
	return err
}

// askingLetters is the dead letters' topic as a consumer of the journal sees it.
type askingLetters struct {
	p      *process
	number int32
	topic  string
}

func (l askingLetters) PublishTo(ctx context.Context, to int32, messages ...event.Message) ([]producer.Ack, error) {
	c := &call{kind: l.p.group.name + " dead letter", partition: l.number, what: sayable{"p%d %d dead letters", []any{l.number, len(messages)}}}
	return ask(ctx, l.p, c, func() ([]producer.Ack, error) {
		return lettersOf{l.p.w, l.topic}.PublishTo(ctx, to, messages...)
	})
}

func (l askingLetters) Publish(ctx context.Context, messages []event.Message) error {
	_, err := l.PublishTo(ctx, 0, messages...)
	return err
}
