package coupontest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// module makes the folder of a stranger's module that has the tool or not, and lets the tests run there.
func module(t *testing.T, tool string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/shop\n\ngo 1.26\n" + tool, "firstcome/main.go": "package main\n\nfunc main() {}\n",
		"broken/firstcome/main.go": "package main\n\nfunc main() { no }\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("GOWORK", "off")
	before := toolOfModule
	toolOfModule = sync.OnceValues(findTool)
	t.Cleanup(func() { toolOfModule = before })
}

func onPath(t *testing.T) (program string) {
	t.Helper()
	dir := t.TempDir()
	program = filepath.Join(dir, "firstcome")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return program
}

const tool = "\ntool example.com/shop/firstcome\n"

func TestFirstcome(t *testing.T) {
	t.Setenv(programVariable, "")
	t.Run("named", func(t *testing.T) {
		module(t, tool)
		onPath(t)
		t.Setenv(programVariable, "bin/firstcome")
		here, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		if program, err := firstcome(); err != nil || program != filepath.Join(here, "bin", "firstcome") {
			t.Errorf("%q, %v", program, err)
		}
	})
	t.Run("tool of go.mod", func(t *testing.T) {
		module(t, tool)
		other := onPath(t)
		program, err := firstcome()
		if info, missing := os.Stat(program); err != nil || program == other || missing != nil || info.Size() == 0 {
			t.Errorf("%q, %v, %v", program, err, missing)
		}
	})
	t.Run("on PATH", func(t *testing.T) {
		module(t, "")
		want := onPath(t)
		if program, err := firstcome(); err != nil || program != want {
			t.Errorf("%q, %v; want %q", program, err, want)
		}
	})
	t.Run("a tool that doesn't build", func(t *testing.T) {
		module(t, "\ntool example.com/shop/broken/firstcome\n")
		onPath(t) // which is another version than the one that was asked for
		if program, err := firstcome(); err == nil || !strings.Contains(err.Error(), "undefined: no") {
			t.Errorf("%q, %v", program, err)
		}
	})
	t.Run("none", func(t *testing.T) {
		module(t, "")
		goCommand, err := exec.LookPath("go")
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", filepath.Dir(goCommand))
		_, err = firstcome()
		if err == nil || !strings.Contains(err.Error(), "\n  go get -tool github.com/firstcome/firstcome/cli/cmd/firstcome ") || !strings.Contains(err.Error(), "FIRSTCOME_BIN=") {
			t.Errorf("said %v", err)
		}
	})
	t.Run("no go command", func(t *testing.T) {
		module(t, tool)
		t.Setenv("PATH", "")
		if _, err := firstcome(); err == nil || !strings.Contains(err.Error(), "there is none") {
			t.Errorf("said %v", err)
		}
	})
}
