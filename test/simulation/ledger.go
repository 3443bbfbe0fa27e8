package simulation

import (
	"context"

	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
	"github.com/firstcome/firstcome/services/ledger/posting/postingtest"
)

// newLedger is a ledger: the handler of services/ledger over the Postgres of this world.
func (w *World) newLedger(name string) {
	w.newConsumer(name, w.ledgers, func(p *process) consumer.Handler {
		return posting.New(posting.Config{Store: postgresOf{p, w.postgres}, Letters: everyLetter{p}, Journal: journalFor{p}, Log: quiet})
	})
}

// everyLetter takes the dead letters of all partitions; each says itself where it came from.
type everyLetter struct{ p *process }

func (l everyLetter) Publish(ctx context.Context, messages []event.Message) error {
	return askingLetters{l.p, partitionOf(messages[0]), event.TopicGrants}.Publish(ctx, messages)
}

// journalFor is what a ledger looks up in the journal.
type journalFor struct{ p *process }

func (j journalFor) of(partition int32) asking {
	return asking{j.p, membership{group: j.p.group, topic: j.p.w.places[partition].journal}}
}

func (j journalFor) Bounds(ctx context.Context, partition int32) (start, end int64, err error) {
	return j.of(partition).Bounds(ctx)
}

func (j journalFor) Record(ctx context.Context, partition int32, offset int64) (event.Record, bool, error) {
	a := j.of(partition)
	r, err := ask(ctx, j.p, a.call("look up", "look up record %d", offset), func() (*event.Record, error) {
		return a.m.topic.holding(offset), nil
	})
	if err != nil || r == nil {
		return event.Record{}, false, err
	}
	return *r, true, nil
}

// postgresOf is Postgres as one ledger sees it: each statement is a call, and so is the commit.
type postgresOf struct {
	p  *process
	pg *postgres
}

var _ posting.Store = postgresOf{}

func (s postgresOf) call(partition int32, kind string) *call {
	return &call{kind: "postgres " + kind, partition: partition, what: sayable{"p%d postgres: %s", []any{partition, kind}}}
}

func (s postgresOf) Migrate(ctx context.Context) error {
	_, err := ask(ctx, s.p, s.call(0, "migrate"), func() (struct{}, error) { return struct{}{}, s.pg.Migrate(ctx) })
	return err
}

func (s postgresOf) Begin(ctx context.Context, partition int32) (posting.Place, error) {
	return ask(ctx, s.p, s.call(partition, "begin"), func() (posting.Place, error) { return s.pg.Begin(ctx, partition) })
}

func (s postgresOf) Place(ctx context.Context, partition int32) (posting.Place, error) {
	return ask(ctx, s.p, s.call(partition, "look"), func() (posting.Place, error) { return s.pg.Place(ctx, partition) })
}

func (s postgresOf) Write(ctx context.Context, b posting.Batch, settle func(context.Context, posting.Refused) error) error {
	c := s.call(b.Partition, "write")
	c.what = sayable{"p%d postgres: write %d definitions and %d grants from %d to %d", []any{b.Partition, len(b.Definitions), len(b.Grants), b.From.Next, b.To.Next}}
	tx, err := ask(ctx, s.p, c, func() (postingtest.Transaction, error) { return s.pg.write(ctx, b) })
	if err != nil {
		return err
	}
	if err := settle(ctx, tx.Refused); err != nil {
		return err
	}
	_, err = ask(ctx, s.p, s.call(b.Partition, "commit"), func() (struct{}, error) { return struct{}{}, s.pg.commit(ctx, b, tx) })
	return err
}
