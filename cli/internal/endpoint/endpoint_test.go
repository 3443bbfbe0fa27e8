package endpoint

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestFinder_Find(t *testing.T) {
	dir := t.TempDir()
	written := map[string]string{GatewayURL: "http://127.0.0.1:1", KafkaBrokers: "127.0.0.1:2", RedisAddr: "127.0.0.1:3", DatabaseURL: "postgres://u:p@h/d?a=b&c=d"}
	if err := Write(Path(dir), written); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		flags   map[string]string
		env     map[string]string
		dataDir string
		needed  []string
		want    map[string]string
		missing []string
	}{
		{name: "the file is the default", dataDir: dir, needed: []string{GatewayURL}, want: written},
		{name: "the environment comes before the file", env: map[string]string{GatewayURL: "http://env"}, dataDir: dir, needed: []string{GatewayURL},
			want: map[string]string{GatewayURL: "http://env"}},
		{name: "a flag comes before the environment", flags: map[string]string{GatewayURL: "http://flag"}, env: map[string]string{GatewayURL: "http://env"}, dataDir: dir,
			needed: []string{GatewayURL}, want: map[string]string{GatewayURL: "http://flag"}},
		{name: "servers of two pipelines are not mixed", flags: map[string]string{KafkaBrokers: "elsewhere:9092"}, dataDir: dir,
			needed: []string{KafkaBrokers, RedisAddr, DatabaseURL}, missing: []string{RedisAddr, DatabaseURL}},
		{name: "no file", dataDir: filepath.Join(dir, "none"), needed: []string{GatewayURL, LedgerURL}, missing: []string{GatewayURL, LedgerURL}},
		{name: "a prefix of the environment joins the file", env: map[string]string{RedisPrefix: "x"}, dataDir: dir, needed: []string{GatewayURL},
			want: with(written, RedisPrefix, "x")},
	} {
		t.Run(c.name, func(t *testing.T) {
			finder := Finder{Flags: c.flags, Getenv: func(name string) string { return c.env[name] }, DataDir: c.dataDir}
			got, err := finder.Find(c.needed...)
			var missing *MissingError
			switch {
			case c.missing == nil && (err != nil || !reflect.DeepEqual(got, c.want)):
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			case c.missing != nil && (!errors.As(err, &missing) || !reflect.DeepEqual(missing.Names, c.missing)):
				t.Errorf("got %v, %v; want missing %v", got, err, c.missing)
			}
		})
	}
}

func with(values map[string]string, name, value string) map[string]string {
	more := map[string]string{name: value}
	for n, v := range values {
		more[n] = v
	}
	return more
}

func TestWrite(t *testing.T) {
	path := Path(t.TempDir())
	values := map[string]string{GatewayURL: "http://127.0.0.1:8080", DatabaseURL: "postgres://u:it's&x@h/d?a=b&c=$d", LedgerURL: ""}
	if err := Write(path, values); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{GatewayURL: values[GatewayURL], DatabaseURL: values[DatabaseURL]}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: the file holds a password", info.Mode(), err)
	}
}

func TestRead_BadLine(t *testing.T) {
	path := Path(t.TempDir())
	if err := os.WriteFile(path, []byte("# by hand\n\nGATEWAY_URL\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("got %v, want the line named", err)
	}
}

// Whatever an owner has written into the file, it is read or the error names the line; and what Write wrote is read as it was.
func FuzzRead(f *testing.F) {
	f.Add("GATEWAY_URL=http://127.0.0.1:1\n# x\n\nDATABASE_URL='postgres://u:p@h/d?a=b&c=d'\n", "it's")
	f.Add("nonsense", "a=b")
	f.Add("=", "''")
	f.Add(strings.Repeat("x", 70_000), " ")
	f.Fuzz(func(t *testing.T, text, value string) {
		path := Path(t.TempDir())
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err != nil && !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %v", text, err)
		}
		err := Write(path, map[string]string{GatewayURL: value})
		got, readErr := Read(path)
		switch {
		case strings.ContainsAny(value, "\r\n"):
			if err == nil {
				t.Errorf("%q was written, as more than one line", value)
			}
		case err != nil || readErr != nil || got[GatewayURL] != value && value != "":
			t.Errorf("%q was written and read as %q: %v, %v", value, got[GatewayURL], err, readErr)
		}
	})
}
