package arch

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const importer = `package main

import "github.com/firstcome/firstcome/pkg/producer"

func main() {
	_, err := producer.New(producer.Config{})
	println(err.Error())
}
`

// Whoever publishes claims gets few modules: Kafka's, and what that needs.
func TestModulesOfAnImporter(t *testing.T) {
	dir, pkg := t.TempDir(), filepath.Join(moduleRoot(t), "pkg")
	module := "module upstream\n\ngo 1.26\n\nrequire github.com/firstcome/firstcome/pkg v0.0.0\n\nreplace github.com/firstcome/firstcome/pkg => " + pkg + "\n"
	for name, text := range map[string]string{"go.mod": module, "main.go": importer} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) string {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		var problems strings.Builder
		cmd.Stderr = &problems
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, problems.String())
		}
		return strings.TrimSpace(string(out))
	}
	run("mod", "tidy")
	modules := strings.Split(run("list", "-m", "all"), "\n")
	t.Logf("%d modules, the importer and pkg among them:\n%s", len(modules), strings.Join(modules, "\n"))
	if len(modules) != 14 {
		t.Errorf("%d modules, and docs/upstream.md says 14", len(modules))
	}
}
