package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// finding is who found a mutant, and after how much: empty where it survived.
type finding struct{ by, after string }

const simulation = "simulation"

var (
	failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	failedSeed = regexp.MustCompile(`seed (\d+)`)
)

// test lets one attacker try. A mutant that does not compile is an error, and so is a test that could not be run at all, or
// that fails without the mutant too: only a test that fails by it has found something.
func test(ctx context.Context, root, overlay, attacker string, seeds int) (finding, error) {
	args := []string{"./test/simulation", "-run", "^TestSimulation$", "-seeds", fmt.Sprint(seeds), "-shrink", "0s"}
	if attacker != simulation {
		args = strings.Fields(attacker)
	}
	build := append([]string{"test", "-overlay", overlay, "-run", "^$"}, args[0])
	if out, err := output(ctx, root, "go", build...); err != nil {
		return finding{}, fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	out, err := output(ctx, root, "go", append([]string{"test", "-overlay", overlay, "-count", "1", "-failfast", "-timeout", "10m"}, args...)...)
	if err == nil {
		if strings.Contains(out, "no tests to run") {
			return finding{}, fmt.Errorf("%s: no such test", attacker)
		}
		return finding{}, nil
	}
	if ctx.Err() != nil {
		return finding{}, ctx.Err()
	}
	f, err := judge(attacker, out)
	if err != nil || f.by == "" {
		return f, err
	}
	if out, err := output(ctx, root, "go", append([]string{"test", "-count", "1", "-timeout", "10m"}, f.alone(args)...)...); err != nil {
		return finding{}, fmt.Errorf("%s fails without the mutant too: %w\n%s", f.by, err, out)
	}
	return f, nil
}

// alone are the arguments by which just that is run which has found the mutant.
func (f finding) alone(args []string) []string {
	name, _, _ := strings.Cut(f.by, "/")
	switch {
	case f.by == simulation:
		return []string{args[0], "-run", "^TestSimulation$", "-seed", strings.TrimPrefix(f.after, "seed ")}
	case strings.HasPrefix(name, "Test"):
		return []string{args[0], "-run", "^" + name + "$"}
	}
	return args
}

func judge(attacker, out string) (finding, error) {
	failed := failedTest.FindAllStringSubmatch(out, -1)
	switch {
	case attacker == simulation && failedSeed.MatchString(out):
		return finding{simulation, "seed " + failedSeed.FindStringSubmatch(out)[1]}, nil
	case attacker == simulation && !strings.Contains(out, "panic: "):
		return finding{}, nil // it is too tame for its own taste, and has found no breach
	case len(failed) > 0:
		return finding{failed[len(failed)-1][1], ""}, nil
	case strings.Contains(out, "panic: "):
		return finding{strings.Fields(attacker)[0], "it panics, or never ends"}, nil
	}
	return finding{}, fmt.Errorf("%s could not be run:\n%s", attacker, out)
}
