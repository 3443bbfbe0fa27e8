package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/internal/problem"
)

// The page has everything that the document has, takes nothing from elsewhere, and its policy lets in its own style alone.
func TestGateway_Docs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	res, err := http.Get("http://" + r.service.Addr().String() + "/docs")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/html; charset=utf-8" || len(b) > 200_000 {
		t.Errorf("%d %s, %d bytes", res.StatusCode, res.Header.Get("Content-Type"), len(b))
	}
	for _, foreign := range []string{`https?://`, `src=`, `<script`, `<link`, `@import`, `url\(`, `style="`, ` on[a-z]+=`} {
		for _, found := range regexp.MustCompile(`(?i).{0,30}`+foreign+`.{0,50}`).FindAllString(page, -1) {
			if !strings.Contains(found, problem.BaseURL) {
				t.Errorf("the page has %q", found)
			}
		}
	}
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(page)
	if len(style) == 0 || !strings.Contains(style[1], "prefers-color-scheme: dark") || !strings.Contains(page, `name="viewport"`) {
		t.Fatalf("no style for dark screens, or none for narrow ones")
	}
	hash := sha256.Sum256([]byte(style[1]))
	policy := res.Header.Get("Content-Security-Policy")
	if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"; !strings.Contains(policy, want) || !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("the policy is %q, want %s in it", policy, want)
	}
	for _, want := range wordsOfDocument() {
		if !strings.Contains(page, html.EscapeString(want)) {
			t.Errorf("the page does not have %q", want)
		}
	}
}

// wordsOfDocument are texts of every operation, parameter, answer and problem.
func wordsOfDocument() (words []string) {
	for path, item := range published().Doc.Paths.Map() {
		for method, op := range item.Operations() {
			words = append(words, method+" "+path, op.Summary, op.Description)
			for _, p := range op.Parameters {
				words = append(words, p.Value.Name, p.Value.Description)
			}
			for _, response := range op.Responses.Map() {
				words = append(words, *response.Value.Description)
			}
		}
	}
	for _, k := range problem.Kinds() {
		words = append(words, k.Name)
	}
	return words
}
