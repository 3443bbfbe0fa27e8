package strategy

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/strategy"
)

// docs/strategies.md says of each strategy what its page says.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/strategies.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## What each breaks")
	table, _, _ = strings.Cut(table, "\n## ")
	said := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|.*\\|([^|]*)\\|$").FindAllStringSubmatch(table, -1) {
		said[row[1]] = strings.TrimSpace(row[2])
	}
	for _, p := range strategy.Pages() {
		var fails []string
		for _, fault := range p.Fails {
			fails = append(fails, string(fault))
			if !strings.Contains(table, "**"+string(fault)+"**") {
				t.Errorf("the page does not explain %s", fault)
			}
		}
		if want := strings.Join(fails, ", "); said[p.Name] != want {
			t.Errorf("%s breaks %q on the page, and %q in the code", p.Name, said[p.Name], want)
		}
		delete(said, p.Name)
	}
	if len(said) > 0 {
		t.Errorf("the page has strategies that are not: %v", said)
	}
}

// The measured table has a row for each strategy, and in it the faults of its page and no others. It was printed by firstcome
// compare on servers that were given.
func TestDocs_Measured(t *testing.T) {
	text, err := os.ReadFile("../../docs/strategies.md")
	if err != nil {
		t.Fatal(err)
	}
	_, printed, _ := strings.Cut(string(text), "<!-- compare -->")
	printed, _, _ = strings.Cut(printed, "<!-- /compare -->")
	if strings.Count(printed, "(given)") != 3 || strings.Contains(printed, "mbedded") || !strings.Contains(printed, "`firstcome compare") || !strings.Contains(printed, " CPUs, ") {
		t.Errorf("the table does not say how it was measured, or not on given servers:\n%s", printed)
	}
	rows := regexp.MustCompile(`(?m)^\| ([a-z-]+) +\|(.*)\|$`).FindAllStringSubmatch(printed, -1)
	const first, last = 4, 10 // over-issue to Redis lost, behind the name
	faults := []strategy.Fault{strategy.OverIssue, strategy.UnderIssue, strategy.Duplicate, strategy.Inversion, strategy.Untrue, strategy.Lost, strategy.Forgotten}
	for i, p := range strategy.Pages() {
		if len(rows) != len(strategy.Pages())+2 || rows[i+2][1] != p.Name {
			t.Fatalf("%d rows, of which one must be that of %s: heading, floor, and the strategies in their order", len(rows), p.Name)
		}
		cells := strings.Split(rows[i+2][2], "|")
		for j, cell := range cells[first : last+1] {
			if named, seen := slices.Contains(p.Fails, faults[j]), strings.TrimSpace(cell) != "0"; named != seen {
				t.Errorf("%s: %s times %s, and its page names %v", p.Name, strings.TrimSpace(cell), faults[j], p.Fails)
			}
		}
	}
}
