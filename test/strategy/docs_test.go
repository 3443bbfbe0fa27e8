package strategy

import (
	"os"
	"regexp"
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
