//go:build linux || darwin

package embedded

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindPrograms(t *testing.T) {
	a, err := accountFor("")
	if err != nil {
		t.Fatal(err)
	}
	nowhere := "http://127.0.0.1:1" // nobody listens on port 1
	fake := openDir(t)
	for _, name := range []string{"initdb", "postgres"} {
		if err := os.WriteFile(filepath.Join(fake, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("in a folder", func(t *testing.T) {
		p, err := findPrograms(t.Context(), PostgresConfig{BinDir: fake}, a)
		if err != nil || p.postgres != filepath.Join(fake, "postgres") {
			t.Fatal(p, err)
		}
	})
	t.Run("in a folder without them", func(t *testing.T) {
		if _, err := findPrograms(t.Context(), PostgresConfig{BinDir: openDir(t)}, a); err == nil {
			t.Fatal("found")
		}
	})
	t.Run("the environment says so", func(t *testing.T) {
		t.Setenv("FIRSTCOME_POSTGRES_BIN", onPath)
		t.Setenv("PATH", fake)
		p, err := findPrograms(t.Context(), PostgresConfig{}, a)
		if err != nil || p.initdb != filepath.Join(fake, "initdb") {
			t.Fatal(p, err)
		}
	})
	t.Run("can't be fetched, one is installed", func(t *testing.T) {
		t.Setenv("FIRSTCOME_POSTGRES_BIN", "")
		t.Setenv("PATH", fake)
		p, err := findPrograms(t.Context(), PostgresConfig{CacheDir: openDir(t), Repository: nowhere}, a)
		if err != nil || p.postgres != filepath.Join(fake, "postgres") {
			t.Fatal(p, err)
		}
	})
	t.Run("can't be fetched, none on PATH", func(t *testing.T) {
		t.Setenv("FIRSTCOME_POSTGRES_BIN", "")
		t.Setenv("PATH", "")
		cache := openDir(t)
		p, err := findPrograms(t.Context(), PostgresConfig{CacheDir: cache, Repository: nowhere}, a)
		if debian := strings.HasPrefix(p.postgres, "/usr/lib/postgresql/"); (err == nil) != debian {
			t.Fatal(p, err)
		}
		if err != nil && !strings.Contains(err.Error(), "FIRSTCOME_POSTGRES_BIN") {
			t.Error(err)
		}
		if left, _ := os.ReadDir(cache); len(left) != 0 {
			t.Errorf("left in the cache: %v", left)
		}
	})
}

func TestFetch(t *testing.T) {
	a, err := accountFor("")
	if err != nil {
		t.Fatal(err)
	}
	defer umask(umask(0o077)) // as strict as they come
	cache, repository := openDir(t), repository(t)
	p, err := fetch(t.Context(), PostgresConfig{CacheDir: cache, Repository: repository.URL}, a)
	if err != nil {
		t.Fatal(err)
	}
	if !a.canEnter(filepath.Dir(p.postgres)) {
		t.Errorf("%s can't enter %s", a, filepath.Dir(p.postgres))
	}
	if err := p.fits("17", "nowhere"); err != nil {
		t.Error(err)
	}
	if err := p.fits("1", "nowhere"); err == nil {
		t.Error("17 was taken for 1")
	}
	if left, _ := os.ReadDir(cache); len(left) != 1 {
		t.Errorf("more than the program is left: %v", left)
	}
	repository.Close()
	again, err := fetch(t.Context(), PostgresConfig{CacheDir: cache, Repository: repository.URL}, a)
	if err != nil || again != p {
		t.Fatalf("fetched a second time: %v %v", again, err)
	}
}

// repository answers as Maven Central does, with an archive of two scripts in place of Postgres.
func repository(t *testing.T) *httptest.Server {
	t.Helper()
	programs, err := os.ReadFile("testdata/postgres.txz")
	if err != nil {
		t.Fatal(err)
	}
	var jar bytes.Buffer
	w := zip.NewWriter(&jar)
	f, err := w.Create("postgres-linux-x86_64.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(programs); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(jar.Bytes())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.Contains(r.URL.Path, "/"+PostgresVersion+"/"):
			http.NotFound(w, r)
		case strings.HasSuffix(r.URL.Path, ".sha256"):
			fmt.Fprintf(w, "%x", sum)
		default:
			_, _ = w.Write(jar.Bytes())
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func TestCacheFolder(t *testing.T) {
	nobody := account{uid: 12345, gid: 12345, switched: true}
	t.Run("named but closed", func(t *testing.T) {
		if _, err := cacheFolder(PostgresConfig{CacheDir: closedDir(t)}, nobody); err == nil || !strings.Contains(err.Error(), "is closed to user 12345") {
			t.Fatal(err)
		}
	})
	t.Run("the account's own", func(t *testing.T) {
		home := openDir(t)
		t.Setenv("HOME", home)
		t.Setenv("XDG_CACHE_HOME", "")
		t.Setenv("FIRSTCOME_CACHE_DIR", "")
		dir, err := cacheFolder(PostgresConfig{}, account{uid: uint32(os.Geteuid())})
		if err != nil || !strings.HasPrefix(dir, home) {
			t.Fatal(dir, err)
		}
	})
	t.Run("no home", func(t *testing.T) {
		temp := openDir(t)
		t.Setenv("HOME", "/dev/null")
		t.Setenv("XDG_CACHE_HOME", "")
		t.Setenv("FIRSTCOME_CACHE_DIR", "")
		t.Setenv("TMPDIR", temp)
		dir, err := cacheFolder(PostgresConfig{}, account{uid: uint32(os.Geteuid())})
		if err != nil || !strings.HasPrefix(dir, temp) {
			t.Fatal(dir, err)
		}
	})
	t.Run("anybody may write to it", func(t *testing.T) {
		dir := openDir(t)
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if usable(dir) {
			t.Fatal("another could have put programs there")
		}
	})
}
