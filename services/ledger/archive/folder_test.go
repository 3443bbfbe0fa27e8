package archive

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Two databases in one folder, which they should not have: one archives a window in the middle of the other's of the same name.
// Neither writes into the other's file.
func TestArchive_OneFolderForTwo(t *testing.T) {
	one, other := newWorld(t), newWorld(t)
	other.dir = one.dir
	other.exec(`UPDATE grants SET user_id = 'eve' WHERE coupon_id = 'tea' AND sequence = 7`)
	want := map[*world][]string{one: one.lines("tea"), other: other.lines("tea")}
	first, second := one.open(), other.open()
	defer first.Close()
	defer second.Close()
	_, err := first.Do(t.Context(), one.retired(first, "tea"), func(n int64) {
		if n == 1 {
			if _, err := second.Do(t.Context(), other.retired(second, "tea"), nil); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for w, lines := range want {
		if got := unpacked(t, filepath.Join(w.dir, w.window("tea", "").File)); !slices.Equal(got, lines) || len(w.rows("tea", "")) != 0 {
			t.Errorf("the file has\n%s\nand the rows were\n%s", got, lines)
		}
	}
}

// lines are the rows of a coupon as a file must have them.
func (w *world) lines(coupon string) (all []string) {
	w.t.Helper()
	for _, g := range w.rows(coupon, "") {
		line, err := lineOf(g)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, strings.TrimSuffix(string(line), "\n"))
	}
	return all
}

func (w *world) retired(a *Archive, coupon string) Window {
	w.t.Helper()
	windows, err := a.Windows(w.t.Context())
	i := slices.IndexFunc(windows, func(w Window) bool { return w.CouponID == coupon })
	if err != nil || i < 0 {
		w.t.Fatal(windows, err)
	}
	return windows[i]
}

// What an interrupted run left is cleared away, and nothing of the operator's, whatever it is called.
func TestOpen_ClearsItsOwn(t *testing.T) {
	w := newWorld(t)
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"film.part", "tea.1.firstcome-part", "tea.txt"} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.open().Close()
	left, err := filepath.Glob(filepath.Join(w.dir, "*"))
	if err != nil || len(left) != 2 || filepath.Base(left[0]) != "film.part" || filepath.Base(left[1]) != "tea.txt" {
		t.Errorf("left are %v, %v", left, err)
	}
}

// Each folder that gets a new name is one that has to be made durable.
func TestMissing(t *testing.T) {
	there := t.TempDir()
	for dir, want := range map[string][]string{
		filepath.Join(there, "a", "b", "c"): {filepath.Join(there, "a", "b"), filepath.Join(there, "a"), there},
		filepath.Join(there, "a") + "/":     {there},
		there:                               nil,
		".":                                 nil,
		"no-such-folder":                    {"."},
	} {
		if got := missing(dir); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", dir, got, want)
		}
	}
	if err := makeDir(filepath.Join(there, "x", "y")); err != nil {
		t.Error(err)
	}
}

// The times that are noted are those of the rows, whatever coupon_windows says and whichever of the rows has them.
func TestArchive_TimesOfTheRows(t *testing.T) {
	w := newWorld(t)
	w.exec(`UPDATE grants SET requested_at = requested_at - interval '1 hour' WHERE coupon_id = 'tea' AND sequence = 7`)
	w.exec(`UPDATE coupon_windows SET first_requested_at = '2020-01-01Z', last_requested_at = '2030-01-01Z' WHERE coupon_id = 'tea'`)
	rows := w.rows("tea", "")
	if _, err := w.run(w.open(), MinAge); err != nil {
		t.Fatal(err)
	}
	var first, last time.Time
	err := w.conn().QueryRow(t.Context(), `SELECT first_requested_at, last_requested_at FROM archived WHERE coupon_id = 'tea'`).Scan(&first, &last)
	if err != nil || !first.Equal(rows[6].RequestedAt) || !last.Equal(rows[49].RequestedAt) {
		t.Errorf("noted are %v and %v, %v", first, last, err)
	}
}

// The connection breaks when the file is whole: nobody knows then what became of a commit, and the file is what may be left.
func TestArchive_Lost(t *testing.T) {
	w := newWorld(t)
	a := w.open()
	defer a.Close()
	tea := w.retired(a, "tea")
	a.step = func(step string) error {
		if step == "kept" {
			w.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'firstcome-archive'`)
		}
		return nil
	}
	_, err := a.Do(t.Context(), tea, nil)
	if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "is whole; keep it: whether its rows were dropped is not known") || strings.Contains(err.Error(), "nothing was dropped") {
		t.Errorf("got %v", err)
	}
	if _, err := a.Do(t.Context(), tea, nil); !errors.Is(err, ErrLost) {
		t.Errorf("and again: %v", err)
	}
}
