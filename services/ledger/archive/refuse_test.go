package archive

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

// What is not as it must be is not dropped.
func TestArchive_Refuses(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*world)
		step   func(w *world, step string) error
		says   string
	}{
		"a row is gone":                      {before: func(w *world) { w.exec(`DELETE FROM grants WHERE coupon_id = 'tea' AND sequence = 50`) }, says: "coupon_windows says 50"},
		"a row that no journal can have":     {before: func(w *world) { w.exec(`UPDATE grants SET "limit" = 1 WHERE coupon_id = 'tea' AND sequence = 50`) }, says: "is no grant"},
		"sequences with a hole":              {before: func(w *world) { w.exec(`UPDATE grants SET sequence = 60 WHERE coupon_id = 'tea' AND sequence = 50`) }, says: "line 50 is"},
		"a row changes after it was read":    {step: at("kept", func(w *world) { w.exec(`UPDATE grants SET user_id = 'eve' WHERE coupon_id = 'tea' AND sequence = 7`) }), says: "are not those that were exported"},
		"a row comes after they were read":   {step: at("kept", func(w *world) { w.write(0, w.grants("tea", "", 0, 400, 51, 40)[50]) }), says: "are not those that were exported"},
		"the file is damaged on its way":     {step: at("exported", func(w *world) { w.damage("tea.*.firstcome-part") }), says: "reading"},
		"the disk has lost half of the file": {step: at("exported", func(w *world) { w.cut("tea.*.firstcome-part") }), says: "reading"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.before != nil {
				c.before(w)
			}
			a := w.open()
			defer a.Close()
			windows, err := a.Windows(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if c.step != nil {
				a.step = func(step string) error { return c.step(w, step) }
			}
			tea := windows[slices.IndexFunc(windows, func(w Window) bool { return w.CouponID == "tea" })]
			before := len(w.rows("tea", ""))
			_, err = a.Do(t.Context(), tea, nil)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			if after := len(w.rows("tea", "")); after < before || w.window("tea", "").File != "" {
				t.Errorf("%d rows of %d, and %+v", after, before, w.window("tea", ""))
			}
		})
	}
	t.Run("not retired", func(t *testing.T) {
		w := newWorld(t)
		a := w.open()
		defer a.Close()
		windows, err := a.Windows(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, window := range windows {
			if _, err := a.Do(t.Context(), window, nil); (err == nil) != (window.Age() >= MinAge) {
				t.Errorf("%+v: %v", window, err)
			}
		}
	})
	t.Run("two at once", func(t *testing.T) {
		w := newWorld(t)
		first := w.open()
		if _, err := Open(t.Context(), w.url, w.dir); !errors.Is(err, postgres.ErrArchiving) {
			t.Errorf("the second: %v", err)
		}
		if windows, err := Look(t.Context(), w.url); err != nil || len(windows) != 5 {
			t.Errorf("who only looks sees %v, %v", windows, err)
		}
		first.Close()
		w.open().Close()
	})
	t.Run("an older schema", func(t *testing.T) {
		w := newWorld(t)
		w.exec(`DROP TABLE archived`)
		if _, err := Open(t.Context(), w.url, w.dir); !errors.Is(err, postgres.ErrTooOld) {
			t.Errorf("got %v", err)
		}
	})
}

func at(want string, do func(*world)) func(*world, string) error {
	return func(w *world, step string) error {
		if step == want {
			do(w)
		}
		return nil
	}
}

func (w *world) conn() *pgx.Conn {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (w *world) exec(sql string) {
	w.t.Helper()
	if tag, err := w.conn().Exec(w.t.Context(), sql); err != nil || !strings.HasPrefix(sql, "DROP") && tag.RowsAffected() != 1 {
		w.t.Fatal(tag, err)
	}
}

func (w *world) damage(pattern string) {
	w.change(pattern, func(b []byte) []byte {
		b[len(b)/2] ^= 1
		return b
	})
}

func (w *world) cut(pattern string) { w.change(pattern, func(b []byte) []byte { return b[:len(b)/2] }) }

func (w *world) change(pattern string, how func([]byte) []byte) {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, pattern))
	if err != nil || len(found) != 1 {
		w.t.Fatal(found, err)
	}
	b, err := os.ReadFile(found[0])
	if err == nil {
		err = os.WriteFile(found[0], how(b), 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}
