package ledger

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
	"github.com/firstcome/firstcome/services/ledger/posting/postingtest"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

// checkLeaks fails a test that leaves goroutines behind; those of the servers stay.
func checkLeaks(t testing.TB, needs ...coupontest.Need) {
	coupontest.Start(t, needs...)
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, int(7*time.Millisecond), time.UTC)

// openStore is a store on a migrated database.
func openStore(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.New(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// migrated is a database of the test's own that has the schema.
func migrated(t testing.TB, servers *coupontest.Servers) string {
	t.Helper()
	return servers.DatabaseFrom(t, "ledger", func(ctx context.Context, url string) error {
		s, err := postgres.New(url)
		if err != nil {
			return err
		}
		defer s.Close()
		return s.Migrate(ctx)
	})
}

// message is a fact's journal record.
func message(t testing.TB, requests string, f fcfs.Fact) event.Message {
	t.Helper()
	m, err := postingtest.Message(requests, f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// logs takes what a service logs, to be looked at afterwards.
type logs struct {
	mu    sync.Mutex
	lines []slog.Record
}

func (l *logs) logger() *slog.Logger { return slog.New(l) }

func (l *logs) Enabled(context.Context, slog.Level) bool { return true }
func (l *logs) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logs) WithGroup(string) slog.Handler            { return l }

func (l *logs) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, r)
	return nil
}

// count is how many messages say something.
func (l *logs) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.lines {
		if strings.Contains(r.Message, text) {
			n++
		}
	}
	return n
}

// alarms are the messages of level error.
func (l *logs) alarms() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.lines {
		if r.Level >= slog.LevelError {
			all = append(all, r.Message)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))
