// Package postingtest is the ledger's Postgres in memory, for tests and simulations. It says as plainly as possible what
// the real one must do; the tests of internal/postgres compare them on random histories.
package postingtest

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

// ErrEnded is what a transaction meets whose session was ended while it settled: the store was restored, or another
// owner's transaction went before. Nothing was written.
var ErrEnded = errors.New("the transaction's session was ended")

// Store is a posting.Store in memory. A transaction that settles locks nobody out: others may go before it, and then it
// writes nothing, as one whose session Postgres has ended. It is safe for use by many goroutines.
type Store struct {
	mu    sync.Mutex
	now   tables
	era   int // how often it was restored
	empty bool
}

type person struct{ user, coupon, window string }

type place struct {
	coupon, window string
	sequence       int64
}

type tables struct {
	places      map[int32]posting.Place
	definitions map[event.Source]event.CouponDefined
	grants      map[event.Source]event.CouponGranted
	persons     map[person]event.Source
	sequences   map[place]event.Source
}

// A Backup is everything that a store held at one moment.
type Backup struct{ was tables }

// Equal tells whether two backups hold the same.
func (b Backup) Equal(c Backup) bool {
	define := func(x, y event.CouponDefined) bool { return sameDefinition(x, y) && *x.Source == *y.Source }
	return maps.EqualFunc(b.was.places, c.was.places, posting.Place.Equal) &&
		maps.EqualFunc(b.was.definitions, c.was.definitions, define) && maps.Equal(b.was.grants, c.was.grants)
}

func sameDefinition(a, b event.CouponDefined) bool {
	a.Source = b.Source
	return a == b
}

// NewStore makes a store with the schema and nothing else.
func NewStore() *Store { return &Store{now: nothing()} }

func nothing() tables {
	return tables{map[int32]posting.Place{}, map[event.Source]event.CouponDefined{}, map[event.Source]event.CouponGranted{},
		map[person]event.Source{}, map[place]event.Source{}}
}

func (t tables) clone() tables {
	return tables{maps.Clone(t.places), maps.Clone(t.definitions), maps.Clone(t.grants), maps.Clone(t.persons), maps.Clone(t.sequences)}
}

// Backup takes one.
func (s *Store) Backup() Backup {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty {
		return Backup{}
	}
	return Backup{s.now.clone()}
}

// Restore puts everything back as it was; the zero Backup is a database without even a schema.
func (s *Store) Restore(b Backup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.era++
	if s.empty = b.was.places == nil; s.empty {
		s.now = nothing()
		return
	}
	s.now = b.was.clone()
}

// Migrate is posting.Store's.
func (s *Store) Migrate(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.empty = false
	return ctx.Err()
}

// Begin is posting.Store's.
func (s *Store) Begin(ctx context.Context, partition int32) (posting.Place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.now.places[partition]; !there && !s.empty && ctx.Err() == nil {
		s.now.places[partition] = posting.Place{HighestSource: -1}
	}
	return s.place(ctx, partition)
}

// Place is posting.Store's.
func (s *Store) Place(ctx context.Context, partition int32) (posting.Place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.place(ctx, partition)
}

func (s *Store) place(ctx context.Context, partition int32) (posting.Place, error) {
	p, there := s.now.places[partition]
	switch {
	case ctx.Err() != nil:
		return p, ctx.Err()
	case s.empty:
		return p, posting.ErrOutdated
	case !there:
		return p, posting.ErrMoved
	}
	return p, nil
}

// Write is posting.Store's.
func (s *Store) Write(ctx context.Context, b posting.Batch, settle func(context.Context, posting.Refused) error) error {
	tx, err := s.Stage(ctx, b)
	if err != nil {
		return err
	}
	if err := settle(ctx, tx.Refused); err != nil {
		return err
	}
	return s.Commit(ctx, tx)
}

// Transaction is a batch that was written and is not committed.
type Transaction struct {
	Refused posting.Refused
	batch   posting.Batch
	era     int
}

// Stage is the first half of Write: it compares the row, and finds out what the batch contradicts.
func (s *Store) Stage(ctx context.Context, b posting.Batch) (Transaction, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, refused, err := s.try(ctx, b)
	return Transaction{refused, b, s.era}, err
}

// Commit is the second half. It fails with ErrEnded where something went before it.
func (s *Store) Commit(ctx context.Context, tx Transaction) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	after, again, err := s.try(ctx, tx.batch)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil || tx.era != s.era || !slices.Equal(again, tx.Refused):
		return ErrEnded
	}
	s.now = after
	return nil
}

// try writes a batch into a copy of the tables.
func (s *Store) try(ctx context.Context, b posting.Batch) (after tables, refused posting.Refused, err error) {
	at, err := s.place(ctx, b.Partition)
	if err == nil && !at.Equal(b.From) {
		err = posting.ErrMoved
	}
	if err != nil {
		return after, nil, err
	}
	after = s.now.clone()
	for _, d := range b.Definitions {
		if !after.define(d) {
			refused = append(refused, *d.Source)
		}
	}
	for _, g := range b.Grants {
		if !after.grant(g) {
			refused = append(refused, g.Source)
		}
	}
	after.places[b.Partition] = b.To
	return after, refused, nil
}

// define tells whether the definition stands there now as it is given.
func (t *tables) define(d event.CouponDefined) bool {
	old, there := t.definitions[*d.Source]
	if !there {
		t.definitions[*d.Source] = d
		return true
	}
	return sameDefinition(old, d)
}

func (t *tables) grant(g event.CouponGranted) bool {
	who, where := person{g.UserID, g.CouponID, g.Window}, place{g.CouponID, g.Window, g.Sequence}
	old, there := t.grants[g.Source]
	_, has := t.persons[who]
	_, taken := t.sequences[where]
	if there || has || taken {
		return there && old == g
	}
	t.grants[g.Source], t.persons[who], t.sequences[where] = g, g.Source, g.Source
	return true
}

// Grants are all that are stored, by source.
func (s *Store) Grants() []event.CouponGranted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.now.grants), func(a, b event.CouponGranted) int { return bySource(a.Source, b.Source) })
}

// Definitions are all that are stored, by source.
func (s *Store) Definitions() []event.CouponDefined {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.now.definitions), func(a, b event.CouponDefined) int { return bySource(*a.Source, *b.Source) })
}

func bySource(a, b event.Source) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
}

var _ posting.Store = (*Store)(nil)
