package openapi

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// The page is made from the document alone, and needs nothing from elsewhere.
var (
	//go:embed page.html
	pageTemplate string
	//go:embed page.css
	pageStyle string
)

// pagePolicy lets a browser take the page's style and nothing else.
func pagePolicy() string {
	hash := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// apiDocument is what the page shows of an OpenAPI document whose references are resolved.
type apiDocument struct {
	Info apiInfo
	Tags []struct {
		Name, Description string
		Operations        []apiOperation `json:"-"`
	}
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		SecuritySchemes map[string]struct{ Description string }
	}
	Problems []struct {
		Name, Title, When, Show string
		Status                  int
	} `json:"x-problems"`
}

type apiInfo struct{ Title, Summary, Description string }

func (i apiInfo) Paragraphs() []string { return strings.Split(i.Description, "\n\n") }

type apiOperation struct {
	Method, Path, Anchor string `json:"-"`

	Tags                 []string
	Summary, Description string
	Security             []map[string]any
	Parameters           []apiParameter
	RequestBody          struct{ Content map[string]apiContent }
	Responses            map[string]apiResponse
}

type apiParameter struct {
	Name, In, Description string
	Required              bool
}

type apiResponse struct {
	Description string
	Headers     map[string]struct{ Description string }
	Content     map[string]apiContent
}

type apiContent struct {
	Examples map[string]struct{ Value any }
}

func render(source []byte) ([]byte, error) {
	doc, err := readDocument(source)
	if err != nil {
		return nil, fmt.Errorf("openapi.json: %w", err)
	}
	page, err := template.New("page").Funcs(template.FuncMap{"example": exampleText, "who": whoMay, "join": strings.Join}).Parse(pageTemplate)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = page.Execute(&b, map[string]any{"Doc": doc, "Style": template.CSS(pageStyle)})
	return b.Bytes(), err
}

func readDocument(source []byte) (doc apiDocument, err error) {
	var tree any
	if err := json.Unmarshal(source, &tree); err != nil {
		return doc, err
	}
	resolved, err := json.Marshal(resolve(tree, tree))
	if err != nil {
		return doc, err
	}
	if err := json.Unmarshal(resolved, &doc); err != nil {
		return doc, err
	}
	for path, item := range doc.Paths {
		var common []apiParameter
		if shared, ok := item["parameters"]; ok {
			if err := json.Unmarshal(shared, &common); err != nil {
				return doc, err
			}
		}
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			op := apiOperation{Method: strings.ToUpper(method), Path: path, Anchor: method + strings.NewReplacer("/", "-", "{", "", "}", "").Replace(path)}
			if err := json.Unmarshal(raw, &op); err != nil {
				return doc, err
			}
			op.Parameters = append(op.Parameters, common...)
			for i := range doc.Tags {
				if slices.Contains(op.Tags, doc.Tags[i].Name) {
					doc.Tags[i].Operations = append(doc.Tags[i].Operations, op)
				}
			}
		}
	}
	for _, tag := range doc.Tags {
		slices.SortFunc(tag.Operations, func(a, b apiOperation) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
		})
	}
	return doc, nil
}

// resolve puts what is referred to in the place of each reference; the document has no circles.
func resolve(node, root any) any {
	switch n := node.(type) {
	case map[string]any:
		if at, ok := n["$ref"].(string); ok {
			found := root
			for name := range strings.SplitSeq(strings.TrimPrefix(at, "#/"), "/") {
				m, _ := found.(map[string]any)
				found = m[name]
			}
			return resolve(found, root)
		}
		out := make(map[string]any, len(n))
		for name, v := range n {
			out[name] = resolve(v, root)
		}
		return out
	case []any:
		out := make([]any, len(n))
		for i, v := range n {
			out[i] = resolve(v, root)
		}
		return out
	}
	return node
}

// exampleText is a JSON value on several lines, or a text as it is.
func exampleText(v any) (string, error) {
	if text, ok := v.(string); ok {
		return text, nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// whoMay names the security schemes of an operation; none for one that anyone may call.
func whoMay(security []map[string]any) (names []string) {
	for _, alternative := range security {
		for name := range alternative {
			names = append(names, name)
		}
	}
	return names
}
