// Package e2e runs the commands as processes, each configured by its environment alone, on the servers of
// pkg/coupontest: what an operator starts is what is tested.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

// bin is the folder of the built commands.
var bin string

func TestMain(m *testing.M) { coupontest.Main(withCommands{m}) }

// withCommands builds the commands before the tests run, and removes them afterwards.
type withCommands struct{ m *testing.M }

func (w withCommands) Run() int {
	dir, err := os.MkdirTemp("", "firstcome-e2e-")
	if err == nil {
		bin = dir
		defer os.RemoveAll(dir)
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return w.m.Run()
}

func build(dir string) error {
	commands := []string{"../../cli/cmd/firstcome", "../../services/gateway/cmd/gateway", "../../services/issuer/cmd/issuer", "../../services/ledger/cmd/ledger"}
	cmd := exec.Command("go", append([]string{"build", "-o", dir + string(filepath.Separator)}, commands...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the commands: %w\n%s", err, out)
	}
	return nil
}
