//go:build linux || darwin

package embedded

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// closedDir is a folder below one that only its owner may enter.
func closedDir(t *testing.T) string {
	t.Helper()
	closed := filepath.Join(openDir(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(closed, "postgres")
}

// elsewhere makes a folder of the test the place for data that can't stay in theirs.
func elsewhere(t *testing.T) string {
	t.Helper()
	before, base := otherPlaces, openDir(t)
	otherPlaces = []string{filepath.Join(closedDir(t), "no"), base}
	t.Cleanup(func() { otherPlaces = before })
	return base
}

// As root: where the data are when the account that runs Postgres can't enter the folder. An ordinary account runs it
// itself, so its data stay.
func TestPostgres_ClosedFolder(t *testing.T) {
	base, dir := elsewhere(t), closedDir(t)
	want := base
	if os.Geteuid() != 0 {
		want = dir
	}
	p := start(t, PostgresConfig{Dir: dir, Unsafe: true})
	mustWrite(t, p, "one")
	if !strings.HasPrefix(p.DataDir(), want) {
		t.Fatalf("data in %s", p.DataDir())
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, PostgresConfig{Dir: dir, Unsafe: true})
	expectLines(t, again, "one")
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if err := RemovePostgres(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p.DataDir()); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", p.DataDir(), err)
	}
}

func TestSweep(t *testing.T) {
	base := openDir(t)
	home := func(name, owner string) string {
		dir := filepath.Join(base, "postgres-"+name)
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
			t.Fatal(err)
		}
		if owner != "" {
			if err := os.WriteFile(filepath.Join(dir, ownerFile), []byte(owner+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	owner := func(location string) string {
		dir := openDir(t)
		if err := os.WriteFile(filepath.Join(dir, locationFile), []byte(location+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	gone := home("gone", filepath.Join(base, "no such folder"))
	other := home("other", owner("/somewhere/else"))
	half := home("half", "")
	used := home("used", "")
	home("used", owner(used))
	sweep(base)
	for dir, want := range map[string]bool{gone: false, other: false, half: true, used: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: there %v, want %v", filepath.Base(dir), err == nil, want)
		}
	}
}

func TestAccount_CanEnter(t *testing.T) {
	dir := openDir(t)
	stranger := account{uid: 12345, gid: 12345, switched: true}
	for mode, want := range map[os.FileMode]bool{0o755: true, 0o711: true, 0o701: true, 0o700: false, 0o750: false, 0o744: false} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if got := stranger.canEnter(dir); got != want {
			t.Errorf("%o: %v, want %v", mode, got, want)
		}
		if !(account{uid: uint32(os.Geteuid())}).canEnter(dir) {
			t.Errorf("%o: closed to its owner", mode)
		}
	}
	if stranger.canEnter(filepath.Join(dir, "no such folder")) {
		t.Error("can enter what isn't there")
	}
}
