package cli

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/services/ledger"
	"github.com/firstcome/firstcome/services/ledger/archive"
)

// shelf is a ledger's database with a daily coupon, of which each day of last year has some grants, and the folder of its
// archive.
type shelf struct {
	t   *testing.T
	db  *pgx.Conn
	env map[string]string
	dir string
}

const shelfDays, shelfGrants = 60, 40

func newShelf(t *testing.T) *shelf {
	t.Helper()
	servers := coupontest.Start(t, coupontest.Postgres)
	s := &shelf{t: t, env: map[string]string{"DATABASE_URL": servers.DatabaseURL}, dir: filepath.Join(t.TempDir(), "archive")}
	var err error
	if s.db, err = pgx.Connect(t.Context(), servers.DatabaseURL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close(context.Background()) })
	s.migrate(servers.DatabaseURL)
	const day = `to_char(date '2025-01-01' + (n / 40)::int, 'YYYY-MM-DD')`
	for _, sql := range []string{
		`INSERT INTO definitions VALUES (0, 0, 'day', 1000, 'daily', 'UTC', NULL, NULL, 1, '2025-01-01Z', '2025-01-01Z')`,
		fmt.Sprintf(`INSERT INTO grants SELECT 0, n + 1, (lpad(to_hex(n + 1), 12, '0') || '80008000000000000000')::uuid, 'day', 'user-' || n, %s, n %% 40 + 1, 1000,
			timestamptz '2025-01-01Z' + n / 40 * interval '1 day', timestamptz '2025-01-01Z' + n / 40 * interval '1 day' FROM generate_series(0, %d) n`, day, shelfDays*shelfGrants-1),
		`INSERT INTO coupon_windows SELECT coupon_id, "window", count(*), min(requested_at), max(requested_at) FROM grants GROUP BY 1, 2`,
		`INSERT INTO definitions VALUES (0, 1000000, 'later', 1, 'none', 'UTC', NULL, NULL, 1, '2025-12-01Z', '2025-12-01Z')`,
	} {
		if _, err := s.db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// migrate lets a ledger make the schema, which it does before it has found any broker.
func (s *shelf) migrate(databaseURL string) {
	s.t.Helper()
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := ledger.New(ledger.Config{Config: broker.Config{Brokers: []string{"127.0.0.1:1"}}, DatabaseURL: databaseURL, Listener: door, AllowAnonymous: true}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	eventually(s.t, "the schema is there", func() (there bool) {
		err := s.db.QueryRow(ctx, `SELECT to_regclass('archived') IS NOT NULL`).Scan(&there)
		return err == nil && there
	})
	stop()
	if err := <-ended; err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) run(args ...string) ran {
	s.t.Helper()
	return run(s.t, s.env, append([]string{"archive"}, args...)...)
}

// nothingLost sees to it that each grant is in Postgres, or in a file that Postgres names, and in one of both; it gives how many
// windows were archived.
func (s *shelf) nothingLost(when string) int {
	s.t.Helper()
	rows, err := s.db.Query(s.t.Context(), `SELECT w."window", (SELECT count(*) FROM grants g WHERE g.coupon_id = w.coupon_id AND g."window" = w."window"), coalesce(a.file, ''), coalesce(a.checksum, '')
		FROM coupon_windows w LEFT JOIN archived a ON a.coupon_id = w.coupon_id AND a."window" = w."window"`)
	if err != nil {
		s.t.Fatal(err)
	}
	windows, archived := 0, 0
	var window, file string
	var here int
	var checksum []byte
	_, err = pgx.ForEachRow(rows, []any{&window, &here, &file, &checksum}, func() error {
		windows++
		if file == "" {
			if here != shelfGrants {
				s.t.Errorf("%s: %d grants of %s, and no archive", when, here, window)
			}
			return nil
		}
		archived++
		lines, sum := s.unpack(file)
		if here != 0 || lines != shelfGrants || !slices.Equal(sum[:], checksum) {
			s.t.Errorf("%s: %d grants of %s, and %d lines in %s", when, here, window, lines, file)
		}
		return nil
	})
	if err != nil || windows != shelfDays {
		s.t.Fatalf("%s: %d windows, %v", when, windows, err)
	}
	return archived
}

func (s *shelf) unpack(file string) (lines int, sum [sha256.Size]byte) {
	s.t.Helper()
	f, err := os.Open(filepath.Join(s.dir, file))
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	packed, err := gzip.NewReader(f)
	if err != nil {
		s.t.Fatal(err)
	}
	h := sha256.New()
	for in := bufio.NewScanner(packed); in.Scan(); lines++ {
		fmt.Fprintf(h, "%s\n", in.Bytes())
	}
	h.Sum(sum[:0])
	return lines, sum
}

// files are those of the folder with this ending.
func (s *shelf) files(suffix string) (names []string) {
	files, _ := os.ReadDir(s.dir) // it may not be there yet
	for _, f := range files {
		if strings.HasSuffix(f.Name(), suffix) {
			names = append(names, f.Name())
		}
	}
	return names
}

// The process is killed again and again: as soon as it has begun a file, finished one, or gone on to the next but two. Nothing
// is ever lost, and in the end each window has one file.
func TestArchive_Killed(t *testing.T) {
	s := newShelf(t)
	archived := 0
	for round := 0; round < 6 && archived <= shelfDays/2; round++ {
		left, whole := s.files(".firstcome-part"), len(s.files(".gz"))
		until := []func() bool{
			func() bool { // each part has a name of its own: what an earlier kill left does not count
				return slices.ContainsFunc(s.files(".firstcome-part"), func(name string) bool { return !slices.Contains(left, name) })
			},
			func() bool { return len(s.files(".gz")) > whole },
			func() bool { return len(s.files(".json")) > whole+3 },
		}[round%3]
		s.kill(until)
		now := s.nothingLost(fmt.Sprintf("killed %d times", round+1))
		if now < archived {
			t.Errorf("%d windows were archived, and now %d", archived, now)
		}
		archived = now
	}
	if archived == 0 || archived == shelfDays {
		t.Errorf("%d windows were archived while it was killed: that shows nothing", archived)
	}
	got := s.run("--to", s.dir)
	if want := fmt.Sprintf("archived %d of %d windows", shelfDays-archived, shelfDays-archived); got.code != exitOK || !strings.Contains(got.out, want) {
		t.Errorf("in the end: %d, want %q\n%s%s", got.code, want, got.out, got.err)
	}
	if n := s.nothingLost("in the end"); n != shelfDays || len(s.files(".gz")) != shelfDays || len(s.files("")) != 2*shelfDays {
		t.Errorf("%d windows are archived, in %d files, of %d in the folder", n, len(s.files(".gz")), len(s.files("")))
	}
}

// kill starts the command as it is shipped, and ends it without a word as soon as something has come to pass.
func (s *shelf) kill(until func() bool) {
	s.t.Helper()
	cmd := exec.Command(firstcome, "archive", "--to", s.dir)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+s.env["DATABASE_URL"])
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	over := false
	eventually(s.t, "it can be killed", func() bool {
		select {
		case <-ended:
			over = true
		default:
		}
		return over || until()
	})
	if !over {
		_ = cmd.Process.Kill()
		<-ended
	}
}

func TestArchive_Command(t *testing.T) {
	s := newShelf(t)
	got := s.run("--dry-run", "--older-than", "7224h") // 301 days before the log time, the first of December
	for _, want := range []string{
		"COUPON  WINDOW      GRANTS  CLOSED AT", "day     2025-01-01  40      2025-01-02T00:00:00Z  2025-12-01T00:00:00Z  would be archived",
		"day     2025-03-01  40      2025-03-02T00:00:00Z  2025-12-01T00:00:00Z  waits: closed for 6576h0m0s", "33 of 60 would be archived, with 1,320 grants",
	} {
		if got.code != exitOK || !strings.Contains(got.out, want) {
			t.Errorf("%d, and it did not say %q:\n%s%s", got.code, want, got.out, got.err)
		}
	}
	if _, err := s.db.Exec(t.Context(), `SELECT pg_advisory_lock(hashtextextended('firstcome archive', 0))`); err != nil {
		t.Fatal(err)
	}
	if got := s.run("--dry-run"); got.code != exitOK {
		t.Errorf("while another archives: %d, %s", got.code, got.err)
	}
	if _, err := s.db.Exec(t.Context(), `SELECT pg_advisory_unlock_all()`); err != nil {
		t.Fatal(err)
	}
	if s.nothingLost("after a dry run") != 0 || len(s.files("")) != 0 {
		t.Error("the dry run has changed something")
	}
	if got := s.run("--to", s.dir, "--older-than", "7224h"); got.code != exitOK || !strings.Contains(got.out, "archived day of 2025-01-01: 40 grants, day.2025-01-01.") || !strings.Contains(got.out, "archived 33 of 33 windows") {
		t.Errorf("%d: %s%s", got.code, got.out, got.err)
	}
	if got := s.run("--to", s.dir, "--coupon", "other"); got.code != exitOK || !strings.Contains(got.out, "archived 0 of 0 windows") {
		t.Errorf("%d: %s%s", got.code, got.out, got.err)
	}
	if _, err := s.db.Exec(t.Context(), `DELETE FROM grants WHERE "window" = '2025-02-03' AND sequence = 7`); err != nil {
		t.Fatal(err)
	}
	got = s.run("--to", s.dir)
	if got.code != exitFailure || !strings.Contains(got.err, "coupon day, window 2025-02-03 has 39 grants, and coupon_windows says 40") || !strings.Contains(got.out, "archived 26 of 27 windows") {
		t.Errorf("%d: %s%s", got.code, got.out, got.err)
	}
	for _, wrong := range [][]string{{}, {"--to", s.dir, "--older-than", "23h"}, {"--to", s.dir, "--coupon", ".x"}, {"--to"}, {"--to", s.dir, "x"}} {
		if got := s.run(wrong...); got.code != exitUsage {
			t.Errorf("%v: %d %s", wrong, got.code, got.err)
		}
	}
}

// What became of a window is said, whatever comes after it: who interrupts it is not told less than was done.
func TestArchive_SaysWhatWasDone(t *testing.T) {
	windows := []archive.Window{{CouponID: "one"}, {CouponID: "two"}, {CouponID: "three"}}
	broken, lost := errors.New("one is broken"), fmt.Errorf("%w: two", archive.ErrLost)
	for name, c := range map[string]struct {
		two    error
		cancel bool
		want   error
		out    string
	}{
		"goes on after a failure":       {nil, false, errSaid, "archived two: 7 grants, file\narchived three: 7 grants, file\narchived 2 of 3 windows\n"},
		"interrupted once two was done": {nil, true, context.Canceled, "archived two: 7 grants, file\n"},
		"interrupted in the middle":     {context.Canceled, true, context.Canceled, ""},
		"the connection is lost in two": {lost, false, archive.ErrLost, ""},
		"two cannot be archived either": {broken, false, errSaid, "archived three: 7 grants, file\narchived 1 of 3 windows\n"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		do := func(ctx context.Context, w archive.Window, _ func(int64)) (archive.Archived, error) {
			switch {
			case w.CouponID == "one":
				return archive.Archived{}, broken
			case ctx.Err() != nil:
				return archive.Archived{}, ctx.Err()
			case w.CouponID == "two" && c.cancel:
				cancel()
			}
			if w.CouponID == "two" && c.two != nil {
				return archive.Archived{}, c.two
			}
			return archive.Archived{Manifest: archive.Manifest{Grants: 7, File: "file"}}, nil
		}
		var out, said strings.Builder
		err := (&app{System: System{Out: &out, Err: &said}}).archiveAll(ctx, do, windows)
		cancel()
		if !errors.Is(err, c.want) || out.String() != c.out || !strings.Contains(said.String(), "firstcome: one is broken\n") {
			t.Errorf("%s: %v\n%s%s", name, err, out.String(), said.String())
		}
	}
}
