package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every patch of the folder says what it breaks and who attacks it, and applies to the code as it is.
func TestMutants(t *testing.T) {
	patches, err := filepath.Glob("*.patch")
	if err != nil {
		t.Fatal(err)
	}
	if len(patches) < 10 {
		t.Errorf("%d mutants, want at least ten", len(patches))
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range patches {
		t.Run(strings.TrimSuffix(path, ".patch"), func(t *testing.T) {
			absolute, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			m, err := read(absolute)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.overlay(t.Context(), root, t.TempDir()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestParse(t *testing.T) {
	m, err := parse("Two yes for one.\n\nAttacked by: simulation; ./a -run B\n--- a/x.go\n+++ b/x.go\n@@ -1 +1 @@\n-a\n+b\n")
	if err != nil || m.breaks != "Two yes for one." || !slices.Equal(m.attackers, []string{simulation, "./a -run B"}) || !slices.Equal(m.files, []string{"x.go"}) {
		t.Errorf("got %+v, %v", m, err)
	}
	for _, bad := range []string{"", "Attacked by: simulation\n--- a/x.go\n", "It breaks.\n--- a/x.go\n", "It breaks.\n\nAttacked by: simulation\n"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q is taken for a mutant", bad)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name, attacker, out string
		want                finding
		bad                 bool
	}{
		{"by a seed", simulation, "--- FAIL: TestSimulation (2s)\n    simulation_test.go:9: seed 17: two yes", finding{simulation, "seed 17"}, false},
		{"too tame to count", simulation, "--- FAIL: TestSimulation (2s)\n    crash: happened 3 times in 2000 runs", finding{}, false},
		{"by a test", "./a", "--- FAIL: TestA (0s)\n    --- FAIL: TestA/b (0s)\nFAIL", finding{"TestA/b", ""}, false},
		{"by never ending", "./a -run B", "panic: test timed out after 10m0s", finding{"./a", "it panics, or never ends"}, false},
		{"not run", "./a", "no Go files", finding{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := judge(c.attacker, c.out)
			if got != c.want || (err != nil) != c.bad {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
