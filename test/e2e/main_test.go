// Package e2e runs the commands as processes, each configured by its environment alone, on the servers of
// pkg/coupontest: what an operator starts is what is tested.
package e2e

import (
	"testing"

	"github.com/firstcome/firstcome/test/process"
)

func TestMain(m *testing.M) { process.Main(m) }
