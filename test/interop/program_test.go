//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

// The libraries may have to be downloaded.
const (
	setUpTime = 10 * time.Minute
	runTime   = 2 * time.Minute
)

// languages are the neighbours: each prepares its program, and gives the command that runs it.
var languages = []struct {
	name    string
	prepare func(*testing.T) []string
}{
	{"python", func(t *testing.T) []string { return []string{python(t), "../../examples/python/neighbour.py"} }},
	{"java", func(t *testing.T) []string { return []string{"java", "-jar", neighbourJar(t)} }},
}

// python is the interpreter of a virtual environment that has the requirements of examples/python.
func python(t *testing.T) string {
	t.Helper()
	const requirements = "../../examples/python/requirements.txt"
	dir := cached(t, "python", output(t, "python3", "-c", "import sys; print(sys.executable, sys.version)"), []string{requirements}, func(dir string) {
		output(t, "python3", "-m", "venv", "--clear", dir)
		output(t, filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements)
	})
	return filepath.Join(dir, "bin", "python")
}

// neighbourJar is the program of examples/java, built from a copy of its sources.
func neighbourJar(t *testing.T) string {
	t.Helper()
	const project = "../../examples/java"
	sources := []string{project + "/pom.xml"}
	for _, pattern := range []string{"/src/main/java/*/*/*/*.java", "/src/main/resources/*"} {
		files, err := filepath.Glob(project + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		sources = append(sources, files...)
	}
	dir := cached(t, "java", output(t, "java", "-version"), sources, func(dir string) {
		for _, file := range sources {
			below, err := filepath.Rel(project, file)
			if err != nil {
				t.Fatal(err)
			}
			copyFile(t, file, filepath.Join(dir, below))
		}
		output(t, "mvn", "--quiet", "--batch-mode", "--file", filepath.Join(dir, "pom.xml"), "package")
	})
	return filepath.Join(dir, "target", "neighbour.jar")
}

// cached is a folder that make has filled, kept in the user's cache for each version of a language and each content of the
// files that it is made from.
func cached(t *testing.T, name, version string, from []string, make func(dir string)) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.New()
	fmt.Fprintln(sum, version)
	for _, file := range from {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(sum, file, len(content))
		sum.Write(content)
	}
	dir := filepath.Join(cache, "firstcome", fmt.Sprintf("interop-%s-%x", name, sum.Sum(nil)[:8]))
	complete := filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return dir
	}
	if err := os.RemoveAll(dir); err != nil { // what a run that was cut off has left
		t.Fatal(err)
	}
	make(dir)
	if err := os.WriteFile(complete, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), setUpTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// neighbour is a language's program beside a test's servers.
type neighbour struct {
	command []string
	servers *coupontest.Servers
}

// run runs the program to its end, and reads the lines of its output as T.
func run[T any](t *testing.T, n neighbour, args ...string) []T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, n.command[0], append(n.command[1:len(n.command):len(n.command)], args...)...)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1",
		"KAFKA_BROKERS="+strings.Join(n.servers.Brokers, ","), "KAFKA_TOPIC_PREFIX="+n.servers.TopicPrefix)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, &problems)
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
