package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"
	"golang.org/x/net/html"

	"github.com/firstcome/firstcome/cli/internal/compare"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/strategy"
)

// comparing is a compare of the command as it is shipped, on given servers.
type comparing struct {
	t         *testing.T
	servers   *coupontest.Servers
	redis     *redis.Client
	db        *pgx.Conn
	temporary string // where it has its folder
}

func newComparing(t *testing.T) *comparing {
	c := &comparing{t: t, servers: coupontest.StartAlone(t), temporary: t.TempDir()}
	c.redis = c.servers.Redis(t)
	db, err := pgx.Connect(t.Context(), c.servers.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	c.db = db
	return c
}

func (c *comparing) given() []string {
	return []string{"--kafka", strings.Join(c.servers.Brokers, ","), "--redis", c.servers.RedisAddr, "--postgres", c.servers.DatabaseURL}
}

// command is one that says it to whoever reads, and has its folder where the test looks.
func (c *comparing) command(args ...string) *exec.Cmd {
	cmd := exec.Command(firstcome, append([]string{"compare", "--html", ""}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+c.temporary)
	return cmd
}

// run returns what it printed and the exit code.
func (c *comparing) run(args ...string) ran {
	c.t.Helper()
	var out, errs strings.Builder
	cmd := c.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		c.t.Fatal(err)
	}
	return ran{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// left is what a compare has on the servers and on this machine.
func (c *comparing) left(ctx context.Context) (all []string) {
	client := c.servers.Kafka(c.t).Kafka()
	topics, err := client.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return []string{err.Error()}
	}
	for _, topic := range topics.Topics {
		if strings.Contains(topic.Name, "compare-") {
			all = append(all, "topic "+topic.Name)
		}
	}
	groups, err := client.ListGroups(ctx, &kafka.ListGroupsRequest{})
	if err != nil {
		return []string{err.Error()}
	}
	for _, group := range groups.Groups {
		all = append(all, "group "+group.GroupID)
	}
	databases, err := c.databases(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	keys := c.redis.Keys(ctx, "*").Val()
	folders, _ := os.ReadDir(c.temporary)
	for _, f := range folders {
		keys = append(keys, "folder "+f.Name())
	}
	return append(append(all, databases...), keys...)
}

func (c *comparing) databases(ctx context.Context) ([]string, error) {
	rows, err := c.db.Query(ctx, "SELECT datname FROM pg_database WHERE datname LIKE 'firstcome_compare%'")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// nothingLeft waits: a broker knows of a topic for a moment after it was deleted.
func (c *comparing) nothingLeft(when string, but ...string) {
	c.t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for began := time.Now(); ; <-look.C {
		left := slices.DeleteFunc(c.left(c.t.Context()), func(what string) bool { return slices.Contains(but, what) })
		switch {
		case len(left) == 0:
			return
		case time.Since(began) > patience:
			c.t.Errorf("%s there are left: %v", when, left)
			return
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	c := newComparing(t)
	t.Run("refused", c.refused)
	t.Run("beside a shop", c.beside)
	for name, signal := range map[string]os.Signal{"interrupted": os.Interrupt, "killed": os.Kill} {
		t.Run(name, func(t *testing.T) { c.ended(t, signal) })
	}
	t.Run("all", c.all)
}

// all strategies show what their pages name, and nothing else; table and page have the same figures.
func (c *comparing) all(t *testing.T) {
	page := filepath.Join(t.TempDir(), "compare.html")
	if err := os.WriteFile(page, []byte("an old one"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := c.run(append(c.given(), "--people", "120", "--limit", "40", "--servers", "3", "--concurrency", "12", "--html", page)...)
	t.Log(got.out)
	if got.code != exitOK || got.err != "" {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
	rows := tableOf(got.out)
	for _, p := range strategy.Pages() {
		checkRow(t, rows[p.Name], p)
	}
	if len(rows) != len(strategy.Pages())+1 || rows["floor"]["people/s"] == "" {
		t.Errorf("%d rows: %v", len(rows), rows)
	}
	for _, want := range []string{"- 120 people ask for 40 coupons, 12 at a time, at 3 server processes\n", "(given); Redis", "plots: " + page} {
		if !strings.Contains(got.out, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if password := "firstcome:"; strings.Contains(got.out, c.servers.DatabaseURL) || strings.Contains(got.out, password) && !strings.Contains(got.out, password+"xxxxx@") {
		t.Error("it prints a password")
	}
	compareTables(t, rows, page)
	c.nothingLeft("afterwards")
}

var faultColumns = map[strategy.Fault]string{
	strategy.OverIssue: "over-issue", strategy.UnderIssue: "under-issue", strategy.Duplicate: "duplicates", strategy.Inversion: "inversions",
	strategy.Untrue: "untrue", strategy.Lost: "lost after kill", strategy.Forgotten: "Redis lost",
}

func checkRow(t *testing.T, row map[string]string, p strategy.Page) {
	t.Helper()
	for fault, column := range faultColumns {
		if named, seen := slices.Contains(p.Fails, fault), row[column] != "0"; row[column] == "" || named != seen {
			t.Errorf("%s: %s is %q, and the page names %v", p.Name, column, row[column], p.Fails)
		}
	}
	for _, column := range []string{"people/s", "of the floor", "p50", "p99"} {
		if !regexp.MustCompile(`^[0-9,.]+( ms| s)?$`).MatchString(row[column]) {
			t.Errorf("%s: %s is %q", p.Name, column, row[column])
		}
	}
	if asks := row["round trips"] != "0.00" && row["bytes"] != "0"; asks == (p.Name == "postgres") {
		t.Errorf("%s: %s round trips and %s bytes", p.Name, row["round trips"], row["bytes"])
	}
}

// tableOf reads a Markdown table: its cells by the names of row and column.
func tableOf(text string) map[string]map[string]string {
	rows := make(map[string]map[string]string)
	var columns []string
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		switch {
		case len(cells) < 2 || strings.HasPrefix(cells[0], "---"):
			continue
		case columns == nil:
			columns = cells
			continue
		}
		row := make(map[string]string)
		for i, cell := range cells {
			row[strings.TrimSpace(columns[i])] = strings.TrimSpace(cell)
		}
		rows[row["strategy"]] = row
	}
	return rows
}

// compareTables reads the page as a browser does.
func compareTables(t *testing.T, rows map[string]map[string]string, page string) {
	t.Helper()
	file, err := os.Open(page)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	root, err := html.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]string
	drawings := 0
	for n := range root.Descendants() {
		switch {
		case n.Type != html.ElementNode:
		case n.Data == "svg":
			drawings++
		case n.Data == "tr":
			var cells []string
			for cell := range n.ChildNodes() {
				if cell.FirstChild != nil {
					cells = append(cells, cell.FirstChild.Data)
				}
			}
			lines = append(lines, cells)
		case n.Data == "script" || n.Data == "link" || n.Data == "img":
			t.Errorf("the page needs more than itself: %s", n.Data)
		}
	}
	if len(lines) != len(rows)+1 || drawings != 8 {
		t.Fatalf("%d rows and %d drawings", len(lines), drawings)
	}
	for _, line := range lines[1:] {
		for i, cell := range line {
			if want := rows[line[0]][lines[0][i]]; cell != want {
				t.Errorf("%s: the page has %q for %s, and the table %q", line[0], cell, lines[0][i], want)
			}
		}
	}
}

// Without servers it brings its own, and says what their figures are worth.
func TestCompare_Embedded(t *testing.T) {
	t.Parallel()
	c := &comparing{t: t, temporary: t.TempDir()}
	got := c.run("--strategy", "script", "--people", "60", "--limit", "20")
	rows := tableOf(got.out)
	if got.code != exitOK || len(rows) != 2 {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
	checkRow(t, rows["script"], strategy.Pages()[0])
	for _, want := range []string{"in place of Kafka (embedded); miniredis ", "**Embedded servers**: an imitation of Kafka", "figures of speed say nothing about real servers"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("it does not say %q:\n%s", want, got.out)
		}
	}
	if left, err := os.ReadDir(c.temporary); err != nil || len(left) > 0 {
		t.Errorf("%v left, %v", left, err)
	}
}

// The command is printed as it was typed, but for what may be a password.
func TestCompare_Typed(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "firstcome compare"},
		{"--strategy script,log --people 7", "firstcome compare --people 7 --strategy script,log"},
		{"--redis [::1]:6379 --kafka [::1]:9092,[::2]:9092", "firstcome compare --kafka [::1]:9092,[::2]:9092 --redis [::1]:6379"},
		{"--postgres postgres://ada:secret@db/shop?sslmode=disable&password=secret&sslpassword=secret#secret", "firstcome compare --postgres postgres://ada:xxxxx@db/shop"},
	} {
		cmd, _, err := (&app{}).root().Find([]string{"compare"})
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.ParseFlags(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		if got := typed(cmd); got != c.want {
			t.Errorf("%s is printed as %s, want %s", c.args, got, c.want)
		}
	}
}

// What differs from a strategy's page is said, a line each, and makes the exit code 1.
func TestCompare_Blame(t *testing.T) {
	var errs strings.Builder
	a := &app{System: System{Err: &errs}}
	report := compare.Report{Rows: []compare.Row{{Page: strategy.Page{Name: "lock"}}, {Page: strategy.Page{Name: "script"}, Wrong: []string{"crowd: 3 times lost", "sale: none"}}}}
	if err := a.blame(report); !errors.Is(err, errSaid) {
		t.Errorf("it ends with %v", err)
	}
	if want := "firstcome: script: crowd: 3 times lost\nfirstcome: script: sale: none\n"; errs.String() != want {
		t.Errorf("it says %q, want %q", errs.String(), want)
	}
	if err := a.blame(compare.Report{Rows: report.Rows[:1]}); err != nil {
		t.Errorf("with nothing to blame it ends with %v", err)
	}
}
