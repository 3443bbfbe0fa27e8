// Package follow reads a topic as it is written, and shows its records.
package follow

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
)

// Topic is what is followed, and from where.
type Topic struct {
	Client   *broker.Client
	Name     string // full name
	Journal  bool   // duplicates are left out, by their source
	From     From
	UntilEnd bool // it ends where the topic ended when Run began
	// Say gets what is waited for, and what is gone.
	Say func(format string, args ...any)
}

// From is where to begin; the zero value is the end.
type From struct {
	Beginning bool
	Time      time.Time // not zero: records of then and later
}

// Run hands over the records: first those that are there, of all partitions in the order of their times, then the new ones
// as they come. It waits for a topic and brokers that are not there. It ends with ctx, whose error it returns, or with an
// error of each, or at the end.
func (t Topic) Run(ctx context.Context, each func(event.Record) error) error {
	partitions, err := t.partitions(ctx)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stop(nil)
	parts := make([]*part, partitions)
	for number := range parts {
		if parts[number], err = t.begin(ctx, int32(number)); err != nil {
			return err
		}
	}
	live := make(chan []event.Record)
	for _, p := range parts {
		readers.Go(func() {
			if err := p.run(ctx, live); err != nil {
				stop(err)
			}
		})
	}
	readers.Go(func() { t.sayWaiting(ctx, parts) })
	if err := merge(ctx, parts, each); err != nil || t.UntilEnd {
		return err
	}
	for {
		select {
		case records := <-live:
			for _, r := range records {
				if err := each(r); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (t Topic) partitions(ctx context.Context) (n int, err error) {
	err = t.patiently(ctx, func() error {
		n, err = t.Client.Partitions(ctx, t.Name)
		return err
	})
	return n, err
}

// patiently tries until there is no error that another try can mend, and says what it waits for.
func (t Topic) patiently(ctx context.Context, try func() error) error {
	var wait broker.Backoff
	for {
		err := try()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !broker.Retriable(err):
			return err
		case wait.Tries()%30 == 0:
			t.say(err)
		}
		if err := wait.Wait(ctx); err != nil {
			return err
		}
	}
}

func (t Topic) say(err error) {
	if errors.Is(err, broker.ErrNoTopic) {
		t.Say("waiting for topic %s: `firstcome topics create` makes it", t.Name)
	} else {
		t.Say("waiting: %v", err)
	}
}

// sayWaiting says what the reading waits for, whenever that changes.
func (t Topic) sayWaiting(ctx context.Context, parts []*part) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := ""; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := ""
		for _, p := range parts {
			if now = p.fetcher.Waiting(); now != "" {
				break
			}
		}
		if now != "" && now != last {
			t.Say("waiting: %s", now)
		}
		last = now
	}
}
