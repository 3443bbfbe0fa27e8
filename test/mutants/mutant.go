package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// mutant is one deliberate bug.
type mutant struct {
	name      string
	breaks    string   // a sentence
	attackers []string // "simulation", or arguments of go test
	patch     string   // path
	files     []string // that it touches, from the root
}

var (
	attackedBy = regexp.MustCompile(`(?m)^Attacked by: (.+)$`)
	touched    = regexp.MustCompile(`(?m)^\+\+\+ b/(\S+)`)
)

func read(path string) (mutant, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return mutant{}, err
	}
	m, err := parse(string(text))
	m.name, m.patch = strings.TrimSuffix(filepath.Base(path), ".patch"), path
	if err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func parse(text string) (mutant, error) {
	head, _, found := strings.Cut(text, "\n--- a/")
	by := attackedBy.FindStringSubmatch(head)
	if !found || by == nil {
		return mutant{}, errors.New("it must be a sentence, a line \"Attacked by: …\" and a patch from a/ to b/")
	}
	m := mutant{breaks: strings.TrimSpace(strings.Split(head, "\nAttacked by:")[0])}
	if m.breaks == "" || strings.HasPrefix(m.breaks, "Attacked by:") {
		return mutant{}, errors.New("it does not say what it breaks")
	}
	for attacker := range strings.SplitSeq(by[1], ";") {
		m.attackers = append(m.attackers, strings.TrimSpace(attacker))
	}
	for _, file := range touched.FindAllStringSubmatch(text, -1) {
		m.files = append(m.files, file[1])
	}
	return m, nil
}

// attack lets the attackers try, one after another.
func (m mutant) attack(ctx context.Context, root string, seeds int) (finding, error) {
	dir, err := os.MkdirTemp("", "firstcome-mutant-")
	if err != nil {
		return finding{}, err
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(ctx, root, dir)
	if err != nil {
		return finding{}, err
	}
	for _, attacker := range m.attackers {
		f, err := test(ctx, root, overlay, attacker, seeds)
		if err != nil || f.by != "" {
			return f, err
		}
	}
	return finding{}, nil
}

// overlay applies the patch to copies of the files, and tells the go command to take those.
func (m mutant) overlay(ctx context.Context, root, dir string) (string, error) {
	replace := map[string]string{}
	for _, file := range m.files {
		original, copied := filepath.Join(root, file), filepath.Join(dir, file)
		text, err := os.ReadFile(original)
		if err != nil {
			return "", err
		}
		if err := os.MkdirAll(filepath.Dir(copied), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(copied, text, 0o644); err != nil {
			return "", err
		}
		replace[original] = copied
	}
	if out, err := output(ctx, dir, "git", "apply", m.patch); err != nil {
		return "", fmt.Errorf("its patch does not apply: %w\n%s", err, out)
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, list, 0o644)
}

// output runs a command in a folder.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "COUPONTEST_SERVERS=embedded")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
