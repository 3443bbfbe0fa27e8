package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// outline is what a page and its translation have in common: the levels of its headings, its code without comments, where
// its links lead, what it shows as code, and the rows of its tables.
type outline struct{ headings, code, links, names, rows []string }

func outlineOf(text string) (o outline) {
	fence := regexp.MustCompile("(?ms)^```.*?^```$")
	for _, block := range fence.FindAllString(text, -1) {
		o.code = append(o.code, regexp.MustCompile(`(?m)(^| +)# .*$`).ReplaceAllString(block, ""))
	}
	text = fence.ReplaceAllString(text, "")
	for line := range strings.Lines(text) {
		if level, _, isHeading := strings.Cut(line, " "); isHeading && strings.Trim(level, "#") == "" {
			o.headings = append(o.headings, level)
		}
		if first, _, isRow := strings.Cut(strings.TrimPrefix(line, "|"), "|"); isRow && strings.HasPrefix(line, "|") {
			o.rows = append(o.rows, firstOf(first))
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		if target := strings.Replace(m[1], ".ko.md", ".md", 1); target != "README.md" {
			o.links = append(o.links, target)
		}
	}
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
		o.names = append(o.names, strings.Replace(m[1], ".ko.md", ".md", 1))
	}
	slices.Sort(o.links) // another language has another order of words
	slices.Sort(o.names)
	return o
}

// firstOf is a row's first cell, where it is no word of a language.
func firstOf(cell string) string {
	cell = strings.TrimSpace(cell)
	if strings.HasPrefix(cell, "[") || strings.HasPrefix(cell, "`") || regexp.MustCompile(`^G\d$`).MatchString(cell) {
		return cell
	}
	return ""
}

// README.ko.md is README.md in Korean, all of it: what is added to one is added to the other.
func TestKoreanReadme(t *testing.T) {
	var pages [2]outline
	for i, name := range []string{"README.md", "README.ko.md"} {
		text, err := os.ReadFile(filepath.Join(moduleRoot(t), name))
		if err != nil {
			t.Fatal(err)
		}
		pages[i] = outlineOf(string(text))
	}
	for _, c := range []struct {
		what            string
		english, korean []string
	}{
		{"headings", pages[0].headings, pages[1].headings},
		{"code blocks", pages[0].code, pages[1].code},
		{"links", pages[0].links, pages[1].links},
		{"names", pages[0].names, pages[1].names},
		{"rows", pages[0].rows, pages[1].rows},
	} {
		if len(c.english) == 0 {
			t.Errorf("README.md has no %s", c.what)
		}
		for i := range max(len(c.english), len(c.korean)) {
			if i >= len(c.english) || i >= len(c.korean) || c.english[i] != c.korean[i] {
				t.Errorf("%s: README.md has %q, README.ko.md %q", c.what, c.english[min(i, len(c.english)):], c.korean[min(i, len(c.korean)):])
				break
			}
		}
	}
}
