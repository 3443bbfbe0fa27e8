package archive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

var (
	noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	days = func(n int) time.Time { return noon.AddDate(0, 0, n) }
)

// world is a ledger with tea, closed at noon; day, in Seoul, with two days; ever, which never closes; and milk in another
// partition, which closed too and in which nothing has happened since.
type world struct {
	t     *testing.T
	url   string
	dir   string
	store *postgres.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	url := coupontest.Start(t, coupontest.Postgres).DatabaseFrom(t, "ledger", func(ctx context.Context, url string) error {
		s, err := postgres.New(url)
		if err != nil {
			return err
		}
		defer s.Close()
		return s.Migrate(ctx)
	})
	w := &world{t: t, url: url, dir: filepath.Join(t.TempDir(), "archive")}
	var err error
	if w.store, err = postgres.New(url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.store.Close)
	once := event.CouponDefined{CouponID: "tea", Limit: 1000, Window: event.WindowNone, TimeZone: "UTC", ClosesAt: noon.Add(time.Second), Rules: 1}
	w.write(0, w.define(once, 0, 0))
	w.write(0, w.grants("tea", "", 0, 1, 50, 0)...)
	w.write(0, w.define(event.CouponDefined{CouponID: "day", Limit: 1000, Window: event.WindowDaily, TimeZone: "Asia/Seoul", Rules: 1}, 100, 0))
	w.write(0, w.grants("day", "2026-11-22", 0, 101, 7, 0)...)
	w.write(0, w.define(event.CouponDefined{CouponID: "ever", Limit: 1000, Window: event.WindowNone, TimeZone: "UTC", Rules: 1}, 200, 40))
	w.write(0, w.grants("day", "2027-01-01", 0, 201, 3, 40)...)
	w.write(0, w.grants("ever", "", 0, 301, 2, 40)...)
	once.CouponID = "milk"
	w.write(1, w.define(once, 0, 0))
	w.write(1, w.grants("milk", "", 1, 1, 2, 0)...)
	return w
}

func (w *world) define(d event.CouponDefined, offset int64, day int) any {
	d.RequestedAt, d.LogTime, d.Source = days(day), days(day), &event.Source{Offset: offset}
	return d
}

func (w *world) grants(coupon, window string, partition int32, offset, n int64, day int) (all []any) {
	for i := range n {
		s := event.Source{Partition: partition, Offset: offset + i}
		all = append(all, event.CouponGranted{
			GrantID: fcfs.GrantID(event.TopicRequests, fcfs.Source(s)), CouponID: coupon, UserID: fmt.Sprintf("<ü> \"%d\" \u2028", i), Window: window, Sequence: i + 1, Limit: 1000,
			RequestedAt: days(day).Add(time.Duration(i) * time.Millisecond), LogTime: days(day).Add(time.Duration(i) * time.Millisecond), Source: s,
		})
	}
	return all
}

// write posts facts as a ledger does.
func (w *world) write(partition int32, facts ...any) {
	w.t.Helper()
	from, err := w.store.Begin(w.t.Context(), partition)
	if err != nil {
		w.t.Fatal(err)
	}
	b := posting.Batch{Partition: partition, From: from, To: posting.Place{Next: from.Next + int64(len(facts))}}
	for _, f := range facts {
		switch f := f.(type) {
		case event.CouponDefined:
			f.Source.Partition = partition
			b.Definitions, b.To.HighestSource = append(b.Definitions, f), f.Source.Offset
		case event.CouponGranted:
			b.Grants, b.To.HighestSource = append(b.Grants, f), f.Source.Offset
		}
	}
	if err := w.store.Write(w.t.Context(), b, func(context.Context, posting.Refused) error { return nil }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open() *Archive {
	w.t.Helper()
	a, err := Open(w.t.Context(), w.url, w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// run archives all that is retired and older; it gives what it said of each, and the first error.
func (w *world) run(a *Archive, olderThan time.Duration) (done []Archived, err error) {
	defer a.Close()
	windows, err := a.Windows(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, window := range windows {
		if window.Age() < olderThan {
			continue
		}
		got, err := a.Do(w.t.Context(), window, nil)
		if err != nil {
			return done, err
		}
		done = append(done, got)
	}
	return done, nil
}

func (w *world) rows(coupon, window string) []event.CouponGranted {
	w.t.Helper()
	rows, err := w.store.Grants(w.t.Context(), postgres.Filter{CouponID: &coupon, Window: &window, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return rows
}

func (w *world) window(coupon, window string) postgres.Window {
	w.t.Helper()
	c, err := w.store.Coupon(w.t.Context(), coupon)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, found := range c.Windows {
		if found.Window == window {
			return found
		}
	}
	w.t.Fatalf("no window %q of %s", window, coupon)
	return postgres.Window{}
}

// unpacked reads a file with nothing but the standard library, as a stranger would.
func unpacked(t *testing.T, path string) (lines []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	packed, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(packed)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	if scanner.Err() != nil {
		t.Fatal(scanner.Err())
	}
	return lines
}

// What is archived is in its file, line by line as the journal has it, with a manifest that says so; it is no longer in
// Postgres, which says where it is. Nothing else is touched.
func TestArchive(t *testing.T) {
	w := newWorld(t)
	before := w.rows("tea", "")
	done, err := w.run(w.open(), 30*24*time.Hour)
	if err != nil || len(done) != 2 || done[0].CouponID != "day" || done[0].Window != "2026-11-22" || done[0].Grants != 7 || done[1].CouponID != "tea" || done[1].Again {
		t.Fatalf("archived %+v, %v", done, err)
	}
	if got := []int{len(w.rows("tea", "")), len(w.rows("day", "2026-11-22")), len(w.rows("day", "2027-01-01")), len(w.rows("ever", "")), len(w.rows("milk", ""))}; !slices.Equal(got, []int{0, 0, 3, 2, 2}) {
		t.Errorf("rows are left: %v", got)
	}
	tea := w.window("tea", "")
	if tea.Granted != 50 || tea.File != done[1].File || !tea.First.Equal(before[0].RequestedAt) || w.window("milk", "").File != "" {
		t.Errorf("the summary has %+v", tea)
	}
	text, err := os.ReadFile(filepath.Join(w.dir, strings.TrimSuffix(tea.File, grantsSuffix)+manifestSuffix))
	if err != nil {
		t.Fatal(err)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil || m.Grants != 50 || m.File != tea.File || len(m.Definitions) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	lines := unpacked(t, filepath.Join(w.dir, m.File))
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n") + "\n"))
	if m.SHA256 != hex.EncodeToString(sum[:]) || compact(t, m.First) != lines[0] || compact(t, m.Last) != lines[49] {
		t.Errorf("the manifest says %s", text)
	}
	for i, g := range before {
		m, err := g.Message(event.Meta{Source: event.JournalSource(event.TopicRequests, 0)})
		if err != nil || lines[i] != string(m.Value) {
			t.Fatalf("line %d is %s, and the journal has %s, %v", i, lines[i], m.Value, err)
		}
	}
	for _, private := range []string{w.dir, filepath.Join(w.dir, m.File)} {
		if info, err := os.Stat(private); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", private, info.Mode(), err)
		}
	}
	if done, err := w.run(w.open(), MinAge); err != nil || len(done) != 0 {
		t.Errorf("and again: %+v, %v", done, err)
	}
	w.write(1, w.define(event.CouponDefined{CouponID: "later", Limit: 1, Window: event.WindowNone, TimeZone: "UTC", Rules: 1}, 100, 2))
	if done, err := w.run(w.open(), MinAge); err != nil || len(done) != 1 || done[0].CouponID != "milk" {
		t.Errorf("once its partition went on: %+v, %v", done, err)
	}
}

func compact(t *testing.T, indented []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, indented); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var errStopped = errors.New("stopped")

// At each step the process goes away, the last time once one window is archived and another is begun. Nothing is lost: what has
// left Postgres is in a whole file that Postgres names. The next run ends it all, and says which files were there.
func TestArchive_StoppedAtEachStep(t *testing.T) {
	for stop, want := range []string{"exported", "renamed", "kept", "dropped", "exported"} {
		w := newWorld(t)
		a, steps, step := w.open(), 0, ""
		a.step = func(name string) error {
			if step = name; steps == stop {
				return errStopped
			}
			steps++
			return nil
		}
		done, err := w.run(a, MinAge)
		name := fmt.Sprintf("step %d, %s", stop, step)
		if !errors.Is(err, errStopped) || step != want || len(done) != stop/4 {
			t.Fatalf("%s: %v, after %+v", name, err, done)
		}
		w.nothingLost(name)
		again, err := w.run(w.open(), MinAge)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		w.nothingLost(name)
		left := 2 - len(done)
		if step == "dropped" {
			left--
		}
		if len(again) != left || left > 0 && again[0].Again != (step == "renamed" || step == "kept") {
			t.Errorf("%s: after %d archived, the next run did %+v", name, len(done), again)
		}
		files, err := os.ReadDir(w.dir)
		if err != nil || len(files) != 4 {
			t.Errorf("%s: %v, %v", name, files, err)
		}
	}
}

func (w *world) nothingLost(name string) {
	w.t.Helper()
	for _, c := range []struct {
		coupon, window string
		granted        int
	}{{"tea", "", 50}, {"day", "2026-11-22", 7}, {"day", "2027-01-01", 3}} {
		got := w.window(c.coupon, c.window)
		rows := len(w.rows(c.coupon, c.window))
		if got.File != "" && rows == 0 {
			rows = len(unpacked(w.t, filepath.Join(w.dir, got.File)))
		}
		if rows != c.granted || int(got.Granted) != c.granted {
			w.t.Errorf("%s: %s %s has %d grants, and the summary says %+v", name, c.coupon, c.window, rows, got)
		}
	}
}
