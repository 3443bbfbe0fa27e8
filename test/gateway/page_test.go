package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A page is a document with transcripts: blocks marked console, in which a line "$ curl …" stands before its answer. Between
// them may stand directives, comments that say what happens meanwhile.
type page struct {
	name  string
	text  string
	items []item
}

type item struct {
	directive string // or:
	block     string // without its fences
	from, to  int    // of block in the text
}

var itemPattern = regexp.MustCompile("(?m)^<!-- meanwhile: (.*) -->$|(?s:^```console\n(.*?)^```$)")

func parsePage(name, text string) page {
	p := page{name: name, text: text}
	for _, at := range itemPattern.FindAllStringSubmatchIndex(text, -1) {
		if at[2] >= 0 {
			p.items = append(p.items, item{directive: text[at[2]:at[3]]})
		} else {
			p.items = append(p.items, item{block: text[at[4]:at[5]], from: at[4], to: at[5]})
		}
	}
	return p
}

// With gives the page with other blocks in the place of its own.
func (p page) With(blocks []string) string {
	var b strings.Builder
	end := 0
	for _, it := range p.items {
		if it.directive == "" {
			b.WriteString(p.text[end:it.from])
			b.WriteString(blocks[0])
			blocks, end = blocks[1:], it.to
		}
	}
	return b.String() + p.text[end:]
}

// commands are the lines of a block that are typed.
func commands(block string) (lines []string) {
	for line := range strings.Lines(block) {
		if command, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "$ "); ok {
			lines = append(lines, command)
		}
	}
	return lines
}

// standIns puts a word in capitals in the place of whatever differs from run to run, the same word for the same value.
type standIns struct {
	real, word []string
	count      map[string]int
}

// differing are the members of answers that differ from run to run.
var differing = map[string]string{
	"claim_id": "CLAIM", "grant_id": "GRANT", "correlation_id": "CORRELATION_ID", "requested_at": "REQUESTED_AT", "current_window": "TODAY", "window": "TODAY",
	"second": "SECOND", "file": "FILE",
}

var member = regexp.MustCompile(`"(\w+)": ?"([^"]+)"`)

// Learn finds them in an answer.
func (s *standIns) Learn(text string) {
	for _, m := range member.FindAllStringSubmatch(text, -1) {
		word, differs := differing[m[1]]
		if !differs || m[2] == "none" || m[2] == "daily" || slices.Contains(s.real, m[2]) {
			continue
		}
		if word == "CLAIM" || word == "GRANT" {
			s.count[word]++
			word += "_" + strconv.Itoa(s.count[word])
		}
		s.real, s.word = append(s.real, m[2]), append(s.word, word)
	}
}

// Hide begins with the longest, since a day stands in times too.
func (s *standIns) Hide(text string) string {
	order := make([]int, len(s.real))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(s.real[b]) - len(s.real[a]) })
	for _, i := range order {
		text = strings.ReplaceAll(text, s.real[i], s.word[i])
	}
	return text
}

var standIn = regexp.MustCompile(`\b(CLAIM|GRANT)_\d+\b`)

func (s *standIns) Show(t testing.TB, command string) string {
	return standIn.ReplaceAllStringFunc(command, func(word string) string {
		for i, w := range s.word {
			if w == word {
				return s.real[i]
			}
		}
		t.Errorf("$ %s: no answer before has %s", command, word)
		return word
	})
}

// typed is what a command line asks for, and what of the answer it shows.
type typed struct {
	*http.Request
	headers bool // -i
	lines   int  // | head -5; 0: all
}

// curl understands a command line. It knows only what the pages use.
func curl(command string) (c typed, err error) {
	command, head, cut := strings.Cut(command, " | head -")
	if cut {
		if c.lines, err = strconv.Atoi(head); err != nil {
			return c, err
		}
	}
	words, err := shellWords(command)
	if err != nil || len(words) == 0 || words[0] != "curl" {
		return c, fmt.Errorf("no curl command, or quotes that do not end: %v", err)
	}
	method, address, header := http.MethodGet, "", http.Header{"Accept": {"*/*"}}
	var body []byte
	for i := 1; i < len(words); i++ {
		word := words[i]
		if letters, ok := strings.CutPrefix(word, "-"); ok && strings.Trim(letters, "isN") == "" {
			c.headers = strings.Contains(letters, "i")
			continue
		}
		if !strings.HasPrefix(word, "-") {
			address = word
			continue
		}
		if i++; i == len(words) {
			return c, fmt.Errorf("%s needs a value", word)
		}
		switch value := words[i]; word {
		case "-X":
			method = value
		case "-H":
			name, v, _ := strings.Cut(value, ": ")
			header.Set(name, v)
		case "-d":
			if body = []byte(value); value == "@long.json" {
				body = []byte(`{"user_id":"` + strings.Repeat("a", 5000) + `"}`)
			}
			if method == http.MethodGet {
				method = http.MethodPost
			}
			if header.Get("Content-Type") == "" { // as curl does, unless told otherwise
				header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
		default:
			return c, fmt.Errorf("%s is not understood", word)
		}
	}
	c.Request, err = http.NewRequest(method, "http://"+address, bytes.NewReader(body))
	if err == nil {
		c.Header = header
	}
	return c, err
}

// shellWords splits a line as a shell does, with single quotes alone.
func shellWords(line string) (words []string, err error) {
	word, quoted, begun := "", false, false
	for _, c := range line {
		switch {
		case c == '\'':
			quoted, begun = !quoted, true
		case c == ' ' && !quoted:
			if begun {
				words = append(words, word)
			}
			word, begun = "", false
		default:
			word, begun = word+string(c), true
		}
	}
	if quoted {
		return nil, fmt.Errorf("a quote is open")
	}
	if begun {
		words = append(words, word)
	}
	return words, nil
}

// shown are the headers of an answer that the pages show, in this order; they are written as they come over the wire.
var shown = []string{"Allow", "Content-Disposition", "Content-Type", "Location", "Preference-Applied", "Ratelimit", "Ratelimit-Policy", "Retry-After", "Www-Authenticate"}

// Text is what curl prints, but for the headers that the pages leave out.
func (c typed) Text(res *http.Response) (string, error) {
	defer res.Body.Close()
	if c.lines > 0 {
		return firstLines(res.Body, c.lines)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || !c.headers {
		return string(body), err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", res.Proto, res.Status)
	for _, name := range shown {
		for _, value := range res.Header[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	if c.Header.Get("X-Correlation-Id") != "" {
		fmt.Fprintf(&b, "X-Correlation-Id: %s\n", res.Header.Get("X-Correlation-Id"))
	}
	fmt.Fprintf(&b, "\n%s", body)
	if len(body) > 0 && !bytes.HasSuffix(body, []byte("\n")) {
		b.WriteByte('\n')
	}
	return b.String(), nil
}

func firstLines(r io.Reader, n int) (string, error) {
	var b strings.Builder
	lines := bufio.NewScanner(r)
	for ; n > 0 && lines.Scan(); n-- {
		b.WriteString(lines.Text() + "\n")
	}
	return b.String(), lines.Err()
}

// isPending tells whether an answer would be another a moment later: the page shows the one that stays.
func isPending(r *http.Request, text string) bool {
	_, body, _ := strings.Cut(text, "\n\n")
	var a struct{ Status any }
	return r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v1/claims/") && json.Unmarshal([]byte(body), &a) == nil && a.Status == "pending"
}
