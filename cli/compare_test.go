package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
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

// What is somebody else's is left alone, and it says what is missing.
func (c *comparing) refused(t *testing.T) {
	c.redis.Set(t.Context(), "somebody's", "precious", 0)
	got := c.run(c.given()...)
	if want := `holds 1 keys, such as "somebody's"`; got.code != exitFailure || !strings.Contains(got.err, want) || !strings.Contains(got.err, "give the address of another server") {
		t.Errorf("exit code %d, says %s; want %s", got.code, got.err, want)
	}
	if value := c.redis.Get(t.Context(), "somebody's").Val(); value != "precious" {
		t.Errorf("the key of somebody else is %q", value)
	}
	c.nothingLeft("refused for a key", "somebody's")
	c.redis.Del(t.Context(), "somebody's")

	c.redis.Set(t.Context(), "firstcome-compare", "compare-other", 0)
	if got, want := c.run(c.given()...), "is that of another compare, compare-other: wait for its end"; got.code != exitFailure || !strings.Contains(got.err, want) {
		t.Errorf("exit code %d, says %s; want %s", got.code, got.err, want)
	}
	c.nothingLeft("refused for another compare", "firstcome-compare")
	c.redis.Del(t.Context(), "firstcome-compare")

	if _, err := c.db.Exec(t.Context(), "CREATE ROLE poor LOGIN PASSWORD 'poor'"); err != nil {
		t.Fatal(err)
	}
	poor := regexp.MustCompile(`//[^@]*@`).ReplaceAllString(c.servers.DatabaseURL, "//poor:poor@")
	for _, refused := range []struct{ flag, value, says string }{
		{"--postgres", poor, "permission denied to create database (SQLSTATE 42501); the role poor needs CREATEDB"},
		{"--redis", "127.0.0.1:1", "redis at 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused"},
		{"--kafka", "127.0.0.1:1", "kafka at 127.0.0.1:1: "},
	} {
		if got := c.run(append(c.given(), refused.flag, refused.value)...); got.code != exitFailure || !strings.Contains(got.err, refused.says) || strings.Count(got.err, "\n") > 1 {
			t.Errorf("%s: exit code %d, says %s; want %s", refused.flag, got.code, got.err, refused.says)
		}
		c.nothingLeft("refused for " + refused.flag)
	}
}

// However it ends in the middle of a sale of the pipeline: its children end, and nothing is left.
func (c *comparing) ended(t *testing.T, signal os.Signal) {
	said, says, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd := c.command(append(c.given(), "--people", "3000", "--strategy", "log")...)
	cmd.Stderr = says
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	says.Close() // now only it and its children have this end
	eventually(t, "the pipeline sells", func() bool {
		return len(c.redis.Keys(t.Context(), "compare-*:coupon:sale-*").Val()) > 0
	})
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || signal == os.Interrupt && exit.ExitCode() != exitFailure {
		t.Errorf("it ended with %v", err)
	}
	if databases, err := c.databases(t.Context()); signal == os.Interrupt && len(databases) > 0 {
		t.Errorf("it has ended before its databases were dropped: %v, %v", databases, err)
	}
	if err := said.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(said)
	if err != nil {
		t.Errorf("children of it live: %v", err)
	}
	if signal == os.Interrupt && string(text) != "firstcome: interrupted\n" {
		t.Errorf("it says %q", text)
	}
	eventually(t, "the pipeline has ended", func() bool { return !strings.Contains(running(t), c.temporary) })
	c.nothingLeft("after " + signal.String())
}

// running are the command lines of all processes.
func running(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		all, err := exec.Command("ps", "-ww", "-e", "-o", "command=").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(all)
	}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("no process is seen: %v", err)
	}
	var all strings.Builder
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) { // it has ended meanwhile
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s\n", line)
	}
	return all.String()
}

// A shop that begins in the middle keeps what it writes, and ends the run.
func (c *comparing) beside(t *testing.T) {
	var errs strings.Builder
	cmd := c.command(append(c.given(), "--people", "3000", "--strategy", "script")...)
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "people ask", func() bool { return len(c.redis.Keys(t.Context(), "coupon:sale-*").Val()) > 0 })
	if n := strings.Count(running(t), c.servers.DatabaseURL); n != 1 {
		t.Errorf("the database's URL stands in %d command lines, and was typed in one", n)
	}
	c.redis.SAdd(t.Context(), "coupon:tea:issued", "ada")
	_ = cmd.Wait()
	if want := `firstcome: somebody else has begun to use this Redis: "coupon:tea:issued" is not a key of compare's; only compare's were removed`; cmd.ProcessState.ExitCode() != exitFailure || !strings.Contains(errs.String(), want) {
		t.Errorf("exit code %d, says %s; want %s", cmd.ProcessState.ExitCode(), errs.String(), want)
	}
	if has := c.redis.SMembers(t.Context(), "coupon:tea:issued").Val(); !slices.Equal(has, []string{"ada"}) {
		t.Errorf("the shop's people are %v", has)
	}
	c.nothingLeft("beside a shop", "coupon:tea:issued")
	c.redis.Del(t.Context(), "coupon:tea:issued")
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
