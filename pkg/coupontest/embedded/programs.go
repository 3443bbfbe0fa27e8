package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// PostgresVersion is the one that is fetched. The tests in containers run the same major version.
const PostgresVersion = "17.6.0"

const onPath = "path"

// programs are the two of Postgres that we need.
type programs struct{ initdb, postgres string }

// findPrograms gets Postgres from where the configuration or the environment says.
func findPrograms(ctx context.Context, cfg PostgresConfig, a account) (programs, error) {
	bin := cfg.BinDir
	if bin == "" {
		bin = os.Getenv("FIRSTCOME_POSTGRES_BIN")
	}
	switch bin {
	case "":
	case onPath:
		return installed()
	default:
		return inFolder(bin)
	}
	fetched, err := fetch(ctx, cfg, a)
	if err == nil {
		return fetched, nil
	}
	if p, err := installed(); err == nil {
		return p, nil
	}
	return programs{}, fmt.Errorf("PostgreSQL %s can't be fetched, and none is installed (install one, or name its folder in FIRSTCOME_POSTGRES_BIN): %w", PostgresVersion, err)
}

func inFolder(dir string) (programs, error) {
	p := programs{filepath.Join(dir, "initdb"), filepath.Join(dir, "postgres")}
	for _, path := range []string{p.initdb, p.postgres} {
		if _, err := exec.LookPath(path); err != nil {
			return p, err
		}
	}
	return p, nil
}

// installed looks on PATH, and where Debian keeps what it doesn't put there.
func installed() (programs, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil { // initdb wants postgres beside itself
			return inFolder(filepath.Dir(path))
		}
	}
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Sort(folders)
	for _, dir := range slices.Backward(folders) {
		if p, err := inFolder(dir); err == nil {
			return p, nil
		}
	}
	return programs{}, errors.New("no initdb and postgres on PATH or in /usr/lib/postgresql")
}

// fits tells whether the program can read a data folder of that major version.
func (p programs) fits(major, data string) error {
	out, err := exec.Command(p.postgres, "--version").Output() // "postgres (PostgreSQL) 17.6"
	if err != nil {
		return fmt.Errorf("%s --version: %w", p.postgres, err)
	}
	if _, version, _ := strings.Cut(string(out), ") "); !strings.HasPrefix(version, major+".") {
		return fmt.Errorf("the data in %s were made by PostgreSQL %s, and %s is %s", data, major, p.postgres, strings.TrimSpace(version))
	}
	return nil
}

// fetch gets Postgres into the cache folder, unless it is there.
func fetch(ctx context.Context, cfg PostgresConfig, a account) (programs, error) {
	cache, err := cacheFolder(cfg, a)
	if err != nil {
		return programs{}, err
	}
	target := filepath.Join(cache, fmt.Sprintf("postgres-%s-%s-%s", PostgresVersion, runtime.GOOS, runtime.GOARCH))
	bin := filepath.Join(target, "bin")
	if p, err := inFolder(bin); err == nil {
		return p, nil
	}
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return programs{}, err
	}
	defer os.RemoveAll(work)
	if err := unpack(ctx, cfg.Repository, work); err != nil {
		return programs{}, err
	}
	// Moved as a whole, so that nobody sees half of it; where another process was faster, its copy is as good.
	if err := os.Rename(filepath.Join(work, "postgres"), target); err != nil {
		if p, err := inFolder(bin); err == nil {
			return p, nil
		}
		return programs{}, err
	}
	return inFolder(bin)
}

// unpack lets the library download and unpack. It would go on and start the server under our account; a data folder that
// can't be made, below a file, ends it there.
func unpack(ctx context.Context, repository, work string) error {
	file := filepath.Join(work, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	target := filepath.Join(work, "postgres")
	cfg := embeddedpostgres.DefaultConfig().
		Version(PostgresVersion).Port(uint32(port)).Logger(io.Discard).
		CachePath(filepath.Join(work, "download")).RuntimePath(filepath.Join(work, "runtime")).
		BinariesPath(target).DataPath(filepath.Join(file, "data"))
	if repository != "" {
		cfg = cfg.BinaryRepositoryURL(repository)
	}
	library := embeddedpostgres.NewDatabase(cfg)
	ended := make(chan error, 1)
	go func() { ended <- library.Start() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	if _, missing := inFolder(filepath.Join(target, "bin")); missing != nil {
		return errors.Join(err, missing)
	}
	return open(target)
}

// open lets everybody read and run what a strict umask may have closed.
func open(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if d.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}

// cacheFolder is the first of the usual places that can be written, and entered by the account that runs Postgres.
func cacheFolder(cfg PostgresConfig, a account) (string, error) {
	for _, named := range []string{cfg.CacheDir, os.Getenv("FIRSTCOME_CACHE_DIR")} {
		if named == "" {
			continue
		}
		dir, err := filepath.Abs(named)
		if err != nil {
			return "", err
		}
		if err := mkdir(dir); err != nil {
			return "", err
		}
		if a.other() && !a.canEnter(dir) {
			return "", fmt.Errorf("the cache folder %s is closed to %s", dir, a)
		}
		return dir, nil
	}
	var candidates []string
	if dir, err := os.UserCacheDir(); err == nil {
		candidates = append(candidates, filepath.Join(dir, "firstcome"))
	}
	if a.other() {
		candidates = append(candidates, "/var/cache/firstcome")
	}
	candidates = append(candidates, filepath.Join(os.TempDir(), fmt.Sprintf("firstcome-cache-%d", os.Getuid())))
	for _, dir := range candidates {
		if usable(dir) && (!a.other() || a.canEnter(dir)) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no folder to keep it in: none of %s can be used", strings.Join(candidates, ", "))
}

// usable tells whether the folder is there or can be made, is ours alone to write and can be written.
func usable(dir string) bool {
	if mkdir(dir) != nil {
		return false
	}
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o022 != 0 || !ours(info) {
		return false
	}
	file, err := os.CreateTemp(dir, "probe-")
	if err != nil {
		return false
	}
	file.Close()
	return os.Remove(file.Name()) == nil
}
