package coupontest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

const (
	programVariable = "FIRSTCOME_BIN"
	programPackage  = "github.com/firstcome/firstcome/cli/cmd/firstcome"
)

// firstcome finds the command: what was named, then what the go.mod of the tests names, whose version is that of the other
// packages, then whatever the machine has.
func firstcome() (string, error) {
	if program := os.Getenv(programVariable); program != "" {
		return filepath.Abs(program)
	}
	if program, err := toolOfModule(); program != "" || err != nil {
		return program, err
	}
	if program, err := exec.LookPath("firstcome"); err == nil {
		return program, nil
	}
	return "", fmt.Errorf(`the pipeline needs the firstcome command, and there is none. One of these brings it:
  go get -tool %s     the module of the tests names it, and the first test builds it
  go build -o /tmp/firstcome %[1]s && export %s=/tmp/firstcome
or put a firstcome on PATH`, programPackage, programVariable)
}

var toolOfModule = sync.OnceValues(findTool)

// findTool has the go command build the tool that go.mod names (the build cache keeps it) and tell where it is; "" where
// go.mod names none. Tests run in the folder of their package.
func findTool() (string, error) {
	var said strings.Builder
	cmd := exec.Command("go", "tool", "-n", "firstcome")
	cmd.Stderr = &said
	out, err := cmd.Output()
	switch {
	case err == nil:
		return strings.TrimSpace(string(out)), nil
	case errors.Is(err, exec.ErrNotFound), strings.Contains(said.String(), "no such tool"):
		return "", nil
	}
	return "", fmt.Errorf("go tool -n firstcome, the tool that go.mod names: %w\n%s", err, said.String())
}
