// Package process runs the commands as an operator does: built, started as processes, configured by their environment
// alone, on the servers of pkg/coupontest. It is for tests only.
//
//	func TestMain(m *testing.M) { process.Main(m) }
//
//	servers := coupontest.Start(t)
//	env := process.Environment(servers)
//	process.CreateTopics(t, env, 4)
//	gateway := process.Start(t, "gateway", env)
//	gateway.WaitReady(t)
package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

// bin is the folder of the built commands.
var bin string

// Main is for TestMain: it builds the commands, runs the tests, stops the servers and exits. The package must be a folder
// directly below test/.
func Main(m coupontest.M) { coupontest.Main(withCommands{m}) }

// withCommands builds the commands before the tests run, and removes them afterwards.
type withCommands struct{ m coupontest.M }

func (w withCommands) Run() int {
	dir, err := os.MkdirTemp("", "firstcome-commands-")
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
