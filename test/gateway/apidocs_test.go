package gateway_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/services/gateway"
)

const docs = "../../docs"

func readPage(t *testing.T, name string) page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docs, name))
	if err != nil {
		t.Fatal(err)
	}
	return parsePage(name, string(text))
}

// Every transcript of docs/api.md is what a gateway answers, and docs/api.ko.md has the same ones. -rewrite writes them
// into both pages.
func TestAPIDocs(t *testing.T) {
	t.Parallel()
	english, korean := readPage(t, "api.md"), readPage(t, "api.ko.md")
	s := &scribe{world: newWorldWithLedger(t, 1), standIns: standIns{count: map[string]int{}}}
	s.host, s.address = "localhost:8080", s.gateways[0].Addr().String()
	blocks := s.takeDown(english, 20)
	if *rewrite && !t.Failed() {
		write(t, english, blocks)
		write(t, korean, blocks)
		return
	}
	if !slices.EqualFunc(english.items, korean.items, func(a, b item) bool { return a.block == b.block && a.directive == b.directive }) {
		t.Error("docs/api.ko.md has other transcripts than docs/api.md, or in another order")
	}
}

// takeDown types all of a page, and gives its blocks as they are answered.
func (s *scribe) takeDown(p page, least int) (blocks []string) {
	s.t.Helper()
	for _, it := range p.items {
		if it.directive != "" {
			s.meanwhile(it.directive)
			continue
		}
		blocks = append(blocks, s.block(it.block))
		if got := blocks[len(blocks)-1]; got != it.block && !*rewrite {
			s.t.Errorf("docs/%s has\n%s\nand the answer is (rewrite it with: go test ./test/gateway -run Docs -rewrite)\n%s", p.name, it.block, got)
		}
	}
	if len(blocks) < least {
		s.t.Errorf("docs/%s has %d transcripts: that can't be all", p.name, len(blocks))
	}
	return blocks
}

func write(t *testing.T, p page, blocks []string) {
	t.Helper()
	own := 0
	for _, it := range p.items {
		if it.directive == "" {
			own++
		}
	}
	if own != len(blocks) {
		t.Errorf("docs/%s has %d transcripts, and there are %d", p.name, own, len(blocks))
		return
	}
	if err := os.WriteFile(filepath.Join(docs, p.name), []byte(p.With(blocks)), 0o644); err != nil {
		t.Error(err)
	}
}

// scribe types the commands of a page, and takes down the answers.
type scribe struct {
	*world
	standIns
	host, address string // what the page asks, and where that is
}

// meanwhile lets something happen between two transcripts.
func (s *scribe) meanwhile(what string) {
	s.t.Helper()
	switch what {
	case "a minute passes":
		s.endGuards()
	case "another gateway, where a person may ask once an hour (PERSON_RATE_LIMIT=1/1h)":
		began := time.Now()
		s.address = s.start(func(c *gateway.Config) {
			c.PersonRateLimit = gateway.Quota{Requests: 1, Window: time.Hour}
			c.Now = func() time.Time { return began } // so that each run is told the same seconds
		})
	case "ada and bob get tea, ada gets a cup, and the ledger has read of it":
		s.grantTeaAndCup()
	case "the cup closed a day ago, and its grants are archived":
		s.archiveCup()
	case "another gateway, which has just been started":
		s.address = s.start(startingGateway)
	default:
		s.t.Fatalf("nobody knows how to let this happen: %q", what)
	}
}

// startingGateway has no topics to speak to yet.
func startingGateway(c *gateway.Config) { c.TopicPrefix += "none." }

func (s *scribe) start(change func(*gateway.Config)) (address string) {
	cfg := gateway.Config{
		Config: broker.Config{Brokers: s.servers.Brokers, TopicPrefix: s.servers.TopicPrefix}, Redis: s.redis(),
		ListenAddr: "127.0.0.1:0", AllowCreateTime: true, AdminTokens: tokens(s.t, "root="+admin), ClaimTokens: tokens(s.t, "shop="+shop),
		ClaimIDKeys: claimIDKeys,
	}
	change(&cfg)
	g, err := gateway.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	s.run(err, g)
	if cfg.TopicPrefix == s.servers.TopicPrefix {
		s.eventually("the gateway is ready", func() bool { return len(g.Ready()) == 0 })
	}
	return g.Addr().String()
}

func (s *scribe) block(block string) string {
	var b strings.Builder
	for i, command := range commands(block) {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("$ " + command + "\n" + s.answer(command))
	}
	return b.String()
}

func (s *scribe) answer(command string) (text string) {
	s.t.Helper()
	real := s.Show(s.t, command)
	s.eventually("the gateway answers "+command, func() bool {
		r, err := curl(real)
		if err != nil {
			s.t.Fatalf("$ %s: %v", command, err)
		}
		if r.URL.Host != s.host {
			s.t.Fatalf("$ %s: asks %s", command, r.URL.Host)
		}
		r.URL.Host = s.address
		res, err := http.DefaultTransport.RoundTrip(r.Request)
		if err != nil {
			s.t.Fatalf("$ %s: %v", command, err)
		}
		if text, err = r.Text(res); err != nil {
			s.t.Fatalf("$ %s: %v", command, err)
		}
		busy := res.StatusCode == http.StatusServiceUnavailable && s.address == s.gateways[0].Addr().String()
		return !busy && !isPending(r.Request, text)
	})
	s.Learn(text)
	return s.Hide(text)
}

// The page's script is shown as it is.
func TestAPIDocs_Page(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(docs, "claim.html"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), "\n"); n > 25 {
		t.Errorf("docs/claim.html has %d lines: it is to be read at a glance", n)
	}
	for _, name := range []string{"api.md", "api.ko.md"} {
		if !strings.Contains(readPage(t, name).text, "```html\n"+string(source)+"```\n") {
			t.Errorf("docs/%s does not show docs/claim.html as it is", name)
		}
	}
}

// The table of refusals is that of the OpenAPI document; in Korean the names and statuses are.
func TestAPIDocs_Refusals(t *testing.T) {
	var document struct {
		Problems []struct {
			Name, When, Show string
			Status           int
		} `json:"x-problems"`
	}
	source, err := os.ReadFile("../../services/gateway/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(source, &document); err != nil {
		t.Fatal(err)
	}
	var english, short []string
	for _, p := range document.Problems {
		english = append(english, "| `"+p.Name+"` | "+strconv.Itoa(p.Status)+" | "+p.When+" | "+p.Show+" |")
		short = append(short, "| `"+p.Name+"` | "+strconv.Itoa(p.Status)+" |")
	}
	row := regexp.MustCompile("(?m)^\\| `[a-z-]+` \\| \\d+ \\|.*$")
	if got := row.FindAllString(readPage(t, "api.md").text, -1); !slices.Equal(got, english) {
		t.Errorf("docs/api.md has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(english, "\n"))
	}
	got := row.FindAllString(readPage(t, "api.ko.md").text, -1)
	if len(got) != len(short) {
		t.Fatalf("docs/api.ko.md has %d refusals, want %d", len(got), len(short))
	}
	for i, want := range short {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("docs/api.ko.md has %s, want %s", got[i], want)
		}
	}
}

// Each refusal but those that nobody can bring about is shown by a transcript.
func TestAPIDocs_ShowEachRefusal(t *testing.T) {
	text := ""
	for _, it := range readPage(t, "api.md").items {
		text += it.block
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| \\d+ \\|").FindAllStringSubmatch(readPage(t, "api.md").text, -1) {
		if shown := strings.Contains(text, "/problems/"+row[1]+`"`); !shown && !slices.Contains(notShown, row[1]) {
			t.Errorf("no transcript shows %s", row[1])
		} else if shown && slices.Contains(notShown, row[1]) {
			t.Errorf("%s is shown, and said not to be", row[1])
		}
	}
}

// notShown: a defect, which nobody can order.
var notShown = []string{"internal"}
