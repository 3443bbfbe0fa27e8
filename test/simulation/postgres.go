package simulation

import (
	"cmp"
	"errors"
	"maps"
	"sync"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

var errDisconnected = errors.New("the connection was lost, and with it the transaction")

// idleInTransaction is after how many seconds Postgres ends a transaction whose client does nothing.
const idleInTransaction = 10

// postgres is the ledger's database: rows, unique rules, row locks, transactions that are all or nothing, and backups.
type postgres struct {
	w     *World
	now   tables
	saved []tables
	most  map[int32]int64 // of the journal that was ever written, by partition

	mu    sync.Mutex
	locks map[int32]*transaction // of partitions' rows
}

// tables is all that a backup holds.
type tables struct {
	migrated    bool
	rows        map[int32]posting.Place
	definitions map[event.Source]event.CouponDefined
	grants      map[event.Source]event.CouponGranted
	people      map[person]event.Source
	sequences   map[seat]event.Source
	sums        map[sum]int64
}

type person struct{ coupon, window, user string }

type seat struct {
	coupon, window string
	sequence       int64
}

type sum struct{ coupon, window string }

// transaction is a batch that is being written: its partition's row is locked meanwhile.
type transaction struct {
	owner   *process
	batch   posting.Batch
	since   int // tick
	open    bool
	refused posting.Refused
}

func newPostgres(w *World) *postgres {
	return &postgres{w: w, now: emptyTables(), locks: map[int32]*transaction{}, most: map[int32]int64{}}
}

func emptyTables() tables {
	return tables{
		rows: map[int32]posting.Place{}, definitions: map[event.Source]event.CouponDefined{}, grants: map[event.Source]event.CouponGranted{},
		people: map[person]event.Source{}, sequences: map[seat]event.Source{}, sums: map[sum]int64{},
	}
}

func (t tables) clone() tables {
	t.rows, t.definitions, t.grants = maps.Clone(t.rows), maps.Clone(t.definitions), maps.Clone(t.grants)
	t.people, t.sequences, t.sums = maps.Clone(t.people), maps.Clone(t.sequences), maps.Clone(t.sums)
	return t
}

func (g *postgres) begin(p int32) (posting.Place, error) {
	if !g.now.migrated {
		return posting.Place{}, posting.ErrOutdated
	}
	if _, ok := g.now.rows[p]; !ok {
		g.now.rows[p] = posting.Place{HighestSource: -1}
	}
	return g.place(p)
}

func (g *postgres) place(p int32) (posting.Place, error) {
	if !g.now.migrated {
		return posting.Place{}, posting.ErrOutdated
	}
	row, ok := g.now.rows[p]
	if !ok {
		return posting.Place{}, posting.ErrMoved
	}
	return row, nil
}

// free tells whether a partition's row can be locked. A client that has been idle in its transaction for too long loses it.
func (g *postgres) free(p int32) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	tx := g.locks[p]
	return tx == nil || g.w.now() >= tx.since+idleInTransaction
}

// write locks the row, compares it, and finds out what the batch contradicts.
func (g *postgres) write(tx *transaction) error {
	p := tx.batch.Partition
	at, err := g.place(p)
	if err != nil {
		return err
	}
	if !at.Equal(tx.batch.From) {
		g.w.saw("the ledger's row has moved")
		return posting.ErrMoved
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if old := g.locks[p]; old != nil {
		g.w.saw("an idle transaction is ended")
		old.open = false
	}
	g.locks[p], tx.open, tx.since = tx, true, g.w.now()
	tx.refused = g.contradictions(tx.batch)
	return nil
}

func (g *postgres) contradictions(b posting.Batch) (refused posting.Refused) {
	for _, d := range b.Definitions {
		if _, ok := g.now.definitions[*d.Source]; ok {
			refused = append(refused, *d.Source)
		}
	}
	for _, x := range b.Grants {
		_, stored := g.now.grants[x.Source]
		_, has := g.now.people[person{x.CouponID, x.Window, x.UserID}]
		_, taken := g.now.sequences[seat{x.CouponID, x.Window, x.Sequence}]
		if stored || has || taken {
			refused = append(refused, x.Source)
		}
	}
	// The row is exact, and nobody else writes into the journal: nothing of a batch can be there already.
	if len(refused) > 0 {
		g.w.breach("Postgres has something of the batch from %d to %d of partition %d already: %v", b.From.Next, b.To.Next, b.Partition, refused)
	}
	return refused
}

func (g *postgres) commit(tx *transaction) error {
	if !tx.open {
		return errDisconnected
	}
	b := tx.batch
	for _, d := range b.Definitions {
		g.now.definitions[*d.Source] = d
	}
	for _, x := range b.Grants {
		g.now.grants[x.Source] = x
		g.now.people[person{x.CouponID, x.Window, x.UserID}] = x.Source
		g.now.sequences[seat{x.CouponID, x.Window, x.Sequence}] = x.Source
		g.now.sums[sum{x.CouponID, x.Window}]++
	}
	g.now.rows[b.Partition] = b.To
	g.most[b.Partition] = max(g.most[b.Partition], b.To.Next)
	g.finish(tx)
	return nil
}

// finish ends a transaction, however it went.
func (g *postgres) finish(tx *transaction) {
	g.mu.Lock()
	defer g.mu.Unlock()
	tx.open = false
	if g.locks[tx.batch.Partition] == tx {
		delete(g.locks, tx.batch.Partition)
	}
}

// release ends the transactions of a process that is gone.
func (g *postgres) release(p *process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for n, tx := range g.locks {
		if tx.owner == p {
			tx.open = false
			delete(g.locks, n)
		}
	}
}

func (g *postgres) save() { g.saved = append(g.saved, g.now.clone()) }

// restore goes back to a backup, or to nothing at all. No transaction survives it.
func (g *postgres) restore(choose int) {
	to := emptyTables()
	if at := choose % (len(g.saved) + 1); at < len(g.saved) {
		to = g.saved[at].clone()
	}
	g.now = to
	g.mu.Lock()
	defer g.mu.Unlock()
	for n, tx := range g.locks {
		tx.open = false
		delete(g.locks, n)
	}
}

func bySource(a, b event.Source) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
}
