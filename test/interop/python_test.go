//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

//go:embed requirements.txt
var requirements []byte

// The libraries may have to be downloaded.
const (
	setUpTime = 5 * time.Minute
	runTime   = 2 * time.Minute
)

// python is the interpreter of a virtual environment that has requirements.txt, kept in the user's cache for each version
// of both.
func python(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), setUpTime)
	defer cancel()
	version := output(ctx, t, "python3", "-c", "import sys; print(sys.executable, sys.version)")
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.Sum256(append([]byte(version), requirements...))
	dir := filepath.Join(cache, "firstcome", fmt.Sprintf("interop-%x", sum[:8]))
	program := filepath.Join(dir, "bin", "python")
	complete := filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return program
	}
	output(ctx, t, "python3", "-m", "venv", "--clear", dir)
	output(ctx, t, program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", "requirements.txt")
	if err := os.WriteFile(complete, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return program
}

func output(ctx context.Context, t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// neighbour runs neighbour.py with one JSON line of input for each of in, and reads its output's lines as T.
func neighbour[T any](t *testing.T, python string, in []any, args ...string) []T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, append([]string{"neighbour.py"}, args...)...)
	var input, problems bytes.Buffer
	for _, line := range in {
		if err := json.NewEncoder(&input).Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Stdin, cmd.Stderr = &input, &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("neighbour.py %s: %v\n%s", strings.Join(args, " "), err, &problems)
	}
	var lines []T
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		var line T
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", s.Text(), err)
		}
		lines = append(lines, line)
	}
	return lines
}
