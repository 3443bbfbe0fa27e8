package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Every variable that a service reads has its line in docs/operations.md.
func TestVariablesAreDocumented(t *testing.T) {
	root := moduleRoot(t)
	manual, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	tag := regexp.MustCompile(`env:"([A-Z_]+)`)
	found := 0
	for _, file := range []string{"services/gateway/config.go", "services/issuer/config.go", "services/ledger/config.go", "pkg/broker/config.go", "internal/env/redis.go"} {
		source, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range tag.FindAllStringSubmatch(string(source), -1) {
			found++
			if !strings.Contains(string(manual), "`"+m[1]+"`") {
				t.Errorf("%s of %s is not in docs/operations.md", m[1], file)
			}
		}
	}
	if found < 15 {
		t.Errorf("found %d variables: that can't be all", found)
	}
}

// Links between the pages lead somewhere.
func TestLinks(t *testing.T) {
	root := moduleRoot(t)
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "README.ko.md"), filepath.Join(root, "CONTRIBUTING.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", filepath.Base(page), err)
			}
		}
	}
}

// The tests that docs/guarantees.md names exist.
func TestGuaranteesNameTests(t *testing.T) {
	root := moduleRoot(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range function.FindAllStringSubmatch(string(source), -1) {
			defined[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 7 {
		t.Errorf("%d tests are named: each promise needs one", len(named))
	}
	for _, m := range named {
		if !defined[m[1]] {
			t.Errorf("docs/guarantees.md names %s, which is no test", m[1])
		}
	}
}

// A link of docs/guarantees.md that shows code leads to the very line with that code.
func TestGuaranteesShowLines(t *testing.T) {
	root := moduleRoot(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("\\[`([^`]+)`\\]\\(([^)#]+)#L(\\d+)\\)").FindAllStringSubmatch(string(page), -1)
	if len(shown) < 7 {
		t.Errorf("%d lines are shown: each promise needs one", len(shown))
	}
	for _, m := range shown {
		code, path := m[1], m[2]
		number, err := strconv.Atoi(m[3])
		if err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile(filepath.Join(root, "docs", path))
		if err != nil {
			t.Error(err)
			continue
		}
		lines := strings.Split(string(source), "\n")
		if number > len(lines) || !strings.Contains(lines[number-1], code) {
			t.Errorf("line %d of %s has no %q%s", number, path, code, whereElse(lines, code))
		}
	}
}

func whereElse(lines []string, code string) string {
	for i, line := range lines {
		if strings.Contains(line, code) {
			return ", but line " + strconv.Itoa(i+1) + " has"
		}
	}
	return ""
}
