package ledger

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

// pausedStore holds each batch back until it is released: a process that was stopped between deciding to write and writing.
type pausedStore struct {
	posting.Store
	arrived, release chan struct{}
}

func (p *pausedStore) Write(ctx context.Context, b posting.Batch, settle func(context.Context, posting.Refused) error) error {
	select {
	case p.arrived <- struct{}{}:
	default:
	}
	<-p.release
	return p.Store.Write(ctx, b, settle)
}

// A ledger is paused with a batch in its hands; another one takes over and comes further. What the paused one then does
// changes nothing and alarms nobody; it goes on from the row.
func TestService_PausedOwner(t *testing.T) {
	w := newWorld(t, coupontest.Start(t, journalServers...), 1)
	var l logs
	paused := &pausedStore{arrived: make(chan struct{}, 1), release: make(chan struct{})}
	w.grow(100)
	// Among what it holds is a record that contradicts: no alarm may come of it.
	w.contradict(0)
	w.start(&l, func(s *Service) {
		paused.Store = s.posting.Store
		s.posting.Store, s.group = paused, w.servers.TopicPrefix+"paused"
	})
	<-paused.arrived
	var quiet logs
	_, stop := w.start(&quiet, nil)
	w.caughtUp()
	w.grow(50)
	w.caughtUp()
	stop()
	w.exact()
	before, _ := w.store.Place(t.Context(), 0)
	letters := len(w.read(w.servers.TopicPrefix+event.TopicDeadLetters, 0))
	close(paused.release)
	w.grow(50) // only the one that was paused is left
	w.caughtUp()
	w.exact()
	if got := l.alarms(); len(got) > 0 {
		t.Errorf("alarms of the paused ledger: %v", got)
	}
	if after := len(w.read(w.servers.TopicPrefix+event.TopicDeadLetters, 0)); after != letters || letters != 1 {
		t.Errorf("%d dead letters, then %d", letters, after)
	}
	if after, _ := w.store.Place(t.Context(), 0); after.Next <= before.Next {
		t.Errorf("from %+v to %+v", before, after)
	}
}

// pausedLetters are a process that was stopped within its transaction, with the partition's row locked.
type pausedLetters struct {
	posting.Letters
	arrived, release chan struct{}
	once             sync.Once
}

func (p *pausedLetters) Publish(ctx context.Context, letters []event.Message) error {
	p.once.Do(func() { close(p.arrived); <-p.release })
	return p.Letters.Publish(context.WithoutCancel(ctx), letters)
}

// impatient is a database whose sessions may be idle in a transaction for 300 ms only.
func impatient(t *testing.T, database string) string {
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("idle_in_transaction_session_timeout", "300")
	u.RawQuery = q.Encode()
	return u.String()
}

// A ledger is paused while it holds the row's lock, before its dead letter is acknowledged; another one comes. The lock
// is taken from the first, whose transaction changes nothing when it wakes. The alarm it raises then is true all the same.
func TestService_PausedWithinTransaction(t *testing.T) {
	w := newWorld(t, coupontest.Start(t, journalServers...), 1)
	w.grow(100)
	w.contradict(0)
	paused := &pausedLetters{arrived: make(chan struct{}), release: make(chan struct{})}
	var l, quiet logs
	w.start(&l, func(s *Service) {
		paused.Letters = s.posting.Letters
		s.posting.Letters, s.group = paused, w.servers.TopicPrefix+"paused"
		s.posting.Store = openStore(t, impatient(t, w.url))
	})
	<-paused.arrived
	next, stop := w.start(&quiet, nil)
	w.caughtUp()
	w.grow(50)
	w.caughtUp()
	w.exact()
	w.violated(next, &quiet, w.contradictions...)
	stop()
	close(paused.release)
	w.grow(50)
	w.caughtUp()
	w.exact()
	if got := w.letters(); len(got) != 1 {
		t.Errorf("dead letters: %v", got)
	}
	for _, alarm := range l.alarms() {
		if !strings.Contains(alarm, "contradicts") && !strings.Contains(alarm, "trying again") {
			t.Errorf("alarm: %s", alarm)
		}
	}
}
