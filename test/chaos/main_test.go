//go:build chaos

package chaos

import (
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/test/process"
)

var (
	rounds = flag.Int("rounds", 3, "how many rounds")
	from   = flag.Int("from", 1, "number of the first round: a round is replayed by its number and the seed")
	seed   = flag.Uint64("seed", 0, "decides all that is random; 0 takes a new one")
	only   = flag.String("kinds", "", "faults to choose from, separated by semicolons (all)")
	rate   = flag.Float64("rate", 150, "people who arrive each second, all coupons together")
	logs   = flag.String("logs", "", "folder to write the logs of all processes to")
	report = flag.String("report", "", "file to write the tables to, in markdown; it is appended to")
)

func TestMain(m *testing.M) { process.Main(m) }

// chosenSeed is the flag's, or a new one.
func chosenSeed() uint64 {
	if *seed != 0 {
		return *seed
	}
	return rand.Uint64()>>1 + 1
}

// chosenKinds are the flag's, or all.
func chosenKinds(t *testing.T) []string {
	t.Helper()
	if *only == "" {
		return kindNames()
	}
	kinds := []string{}
	for name := range strings.SplitSeq(*only, ";") {
		if name = strings.TrimSpace(name); !slices.Contains(kindNames(), name) {
			t.Fatalf("-kinds: there is no %q among %q", name, kindNames())
		}
		kinds = append(kinds, name)
	}
	return kinds
}
