package simulation

import (
	"context"
	"errors"
	"slices"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
	"github.com/firstcome/firstcome/services/ledger/posting/postingtest"
)

// postgres is the ledger's database in memory, and its backups. A transaction is written and committed in two calls, between
// which everything can happen; it is optimistic where the real one locks, so that more can happen.
type postgres struct {
	*postingtest.Store
	w       *World
	backups []postingtest.Backup // the first is of a database without even a schema
	most    map[int32]int64      // of the journal that was ever written, by partition
}

func newPostgres(w *World) *postgres {
	g := &postgres{Store: postingtest.NewStore(), w: w, backups: make([]postingtest.Backup, 1), most: map[int32]int64{}}
	g.Restore(g.backups[0])
	return g
}

// write compares the row, and finds out what the batch contradicts: nothing, since the row is exact and nobody else writes
// into the journal.
func (g *postgres) write(ctx context.Context, b posting.Batch) (postingtest.Transaction, error) {
	tx, err := g.Stage(ctx, b)
	if errors.Is(err, posting.ErrMoved) {
		g.w.saw("the ledger's row has moved")
	}
	if len(tx.Refused) > 0 || err == nil && g.holds(b) {
		g.w.breach("Postgres has something in the place of the batch of partition %d from %d to %d: refused are %v", b.Partition, b.From.Next, b.To.Next, tx.Refused)
	}
	return tx, err
}

// holds tells whether a record of a batch is there already: the same one would be passed over, at a price.
func (g *postgres) holds(b posting.Batch) bool {
	for _, row := range g.Grants() {
		if slices.ContainsFunc(b.Grants, func(x event.CouponGranted) bool { return x.Source == row.Source }) {
			return true
		}
	}
	for _, row := range g.Definitions() {
		if slices.ContainsFunc(b.Definitions, func(x event.CouponDefined) bool { return *x.Source == *row.Source }) {
			return true
		}
	}
	return false
}

func (g *postgres) commit(ctx context.Context, b posting.Batch, tx postingtest.Transaction) error {
	err := g.Commit(ctx, tx)
	if errors.Is(err, postingtest.ErrEnded) {
		g.w.saw("a transaction is ended")
	}
	if err == nil {
		g.most[b.Partition] = max(g.most[b.Partition], b.To.Next)
	}
	return err
}

func (g *postgres) backUp() { g.backups = append(g.backups, g.Backup()) }

// restore goes back to a backup. No transaction survives it.
func (g *postgres) restore(choose int) {
	g.Restore(g.backups[choose%len(g.backups)])
}

// row is how far a partition was written.
func (g *postgres) row(p int32) posting.Place {
	place, err := g.Place(context.Background(), p)
	if err != nil {
		return posting.Place{HighestSource: -1}
	}
	return place
}
