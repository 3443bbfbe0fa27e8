package arch

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the code into the pages of docs that show it")

// Code on a page is the very text of code that is compiled and tested: a comment before the block says whose.
//
//	<!-- code: pkg/producer/example_test.go -->                    the whole file
//	<!-- code: pkg/producer/example_test.go Example{} -->          what stands in a function's braces, less its // Output:
//	<!-- code: pkg/consumer/example_test.go mailer mailer.Handle --> declarations of Go, one after the other
//	<!-- code: examples/python/publish.py #claim -->               from the line "# region claim" (or "// region claim") to "endregion"
//
// With -rewrite the blocks are filled from the files.
func TestCodeOnPages(t *testing.T) {
	root := moduleRoot(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "README.ko.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		filled, problems := fill(root, string(text))
		for _, problem := range problems {
			t.Errorf("%s: %s", filepath.Base(page), problem)
		}
		if *rewrite && filled != string(text) {
			if err := os.WriteFile(page, []byte(filled), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if filled != string(text) {
			t.Errorf("%s shows other code than there is: `go test ./test/arch -run CodeOnPages -rewrite` writes it anew", filepath.Base(page))
		}
	}
}

// Blocks of these languages are code; of others such as json, sh and text a page may show what it likes.
var codeBlock = regexp.MustCompile("(?ms)^(?:<!-- code: ([^\n]*) -->\n)?```(go|python|java)\n(.*?)^```$")

// fill puts the code into the blocks of a page.
func fill(root, page string) (filled string, problems []string) {
	filled = codeBlock.ReplaceAllStringFunc(page, func(block string) string {
		m := codeBlock.FindStringSubmatch(block)
		if m[1] == "" {
			first, _, _ := strings.Cut(m[3], "\n")
			problems = append(problems, fmt.Sprintf("nothing says whose code this is: %s", first))
			return block
		}
		code, err := codeOf(root, strings.Fields(m[1]))
		if err != nil {
			problems = append(problems, err.Error())
			return block
		}
		return fmt.Sprintf("<!-- code: %s -->\n```%s\n%s\n```", m[1], m[2], code)
	})
	if named, blocks := strings.Count(page, "<!-- code: "), len(codeBlock.FindAllString(page, -1)); named > blocks {
		problems = append(problems, fmt.Sprintf("%d comments name code, and there are %d blocks of it", named, blocks))
	}
	return filled, problems
}

// codeOf is what a comment names: a file, or parts of it.
func codeOf(root string, names []string) (string, error) {
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(names[0])))
	if err != nil {
		return "", err
	}
	if len(names) == 1 {
		return strings.TrimRight(string(source), "\n"), nil
	}
	var parts []string
	for _, name := range names[1:] {
		find := declaration
		if strings.HasPrefix(name, "#") {
			find = region
		}
		part, err := find(string(source), name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", names[0], err)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "\n\n"), nil
}

func region(source, name string) (string, error) {
	_, rest, begun := cutLine(source, regexp.MustCompile(`(?m)^[ \t]*(//|#|--) region `+regexp.QuoteMeta(name[1:])+`$\n`))
	part, _, ended := cutLine(rest, regexp.MustCompile(`(?m)^[ \t]*(//|#|--) endregion$`))
	if !begun || !ended {
		return "", fmt.Errorf("no region %s that begins and ends", name[1:])
	}
	return dedent(part), nil
}

func cutLine(text string, at *regexp.Regexp) (before, after string, found bool) {
	where := at.FindStringIndex(text)
	if where == nil {
		return text, "", false
	}
	return text[:where[0]], text[where[1]:], true
}

var output = regexp.MustCompile(`(?mi)^[ \t]*// (unordered )?output:`)

// declaration is a type, a function, a method (Type.Name), or with {} the inside of one.
func declaration(source, name string) (string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", source, parser.ParseComments)
	if err != nil {
		return "", err
	}
	text := func(from, to token.Pos) string { return source[files.Position(from).Offset:files.Position(to).Offset] }
	wanted, inside := strings.CutSuffix(name, "{}")
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if nameOf(d) != wanted {
				continue
			}
			if inside {
				body, _, _ := cutLine(text(d.Body.Lbrace+1, d.Body.Rbrace), output)
				return dedent(body), nil
			}
			return text(d.Pos(), d.End()), nil
		case *ast.GenDecl:
			if t, isType := d.Specs[0].(*ast.TypeSpec); isType && !inside && t.Name.Name == wanted {
				return text(d.Pos(), d.End()), nil
			}
		}
	}
	return "", fmt.Errorf("no %s", name)
}

func nameOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	receiver := f.Recv.List[0].Type
	if pointer, ok := receiver.(*ast.StarExpr); ok {
		receiver = pointer.X
	}
	if named, ok := receiver.(*ast.Ident); ok {
		return named.Name + "." + f.Name.Name
	}
	return ""
}

// dedent takes away what all lines begin with, and empty lines around.
func dedent(text string) string {
	text = strings.TrimRight(strings.TrimLeft(text, "\n"), " \t\n")
	indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, indent)
	}
	return strings.Join(lines, "\n")
}

func TestCodeOf(t *testing.T) {
	root := t.TempDir()
	source := "package a\n\n// T is.\ntype T struct{ n int }\n\n// M does.\nfunc (t *T) M() {\n\tf()\n}\n\nfunc f() {\n\tif true {\n\t\tprintln()\n\t}\n\n\t// Output: \n}\n"
	script := "import x\n\nif x:\n    # region b\n    y()\n    if y:\n        z()\n    # endregion\n"
	for name, text := range map[string]string{"a.go": source, "b.py": script} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ names, want, err string }{
		{"a.go", strings.TrimSpace(source), ""},
		{"a.go T T.M", "type T struct{ n int }\n\nfunc (t *T) M() {\n\tf()\n}", ""},
		{"a.go f{}", "if true {\n\tprintln()\n}", ""},
		{"b.py #b", "y()\nif y:\n    z()", ""},
		{"a.go g", "", "a.go: no g"},
		{"a.go M", "", "a.go: no M"},
		{"b.py #c", "", "b.py: no region c that begins and ends"},
		{"c.go", "", "no such file"},
	} {
		got, err := codeOf(root, strings.Fields(c.names))
		if got != c.want || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %q, %v", c.names, got, err)
		}
	}
	page := "# A\n\n<!-- code: a.go f{} -->\n```go\nold\n```\n\n```json\n{}\n```\n"
	if filled, problems := fill(root, page); len(problems) > 0 || filled != strings.Replace(page, "old", "if true {\n\tprintln()\n}", 1) {
		t.Errorf("filled %q, %v", filled, problems)
	}
	for page, want := range map[string]string{
		"```go\nwhose()\n```\n":                          "nothing says whose code this is: whose()",
		"<!-- code: a.go g -->\n```go\n```\n":            "a.go: no g",
		"<!-- code: a.go f{} -->\n\n```text\nold\n```\n": "1 comments name code, and there are 0 blocks of it",
	} {
		if _, problems := fill(root, page); len(problems) != 1 || problems[0] != want {
			t.Errorf("%q: problems %q", page, problems)
		}
	}
}
