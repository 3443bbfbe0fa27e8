package postgres

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the table of queries into docs/operations.md")

// question is a statement as some caller asks it.
type question struct {
	who, what string
	sql       string
	args      []any
}

func (f Filter) asked(who, what string, within span) question {
	f.Limit = 10
	sql, args := f.query(within)
	return question{who, what, sql, args}
}

// questions are those of each caller.
func questions() []question {
	coupon, user, window, id := "coupon-5", "user-77", "2026-11-03", grant(0, 77, "", "", "", 0).GrantID
	large, once := "large", ""
	then := Position{coupon, window, 75000}
	grants, download := "`GET /v1/grants`", "`GET …/grants.csv`, `.ndjson`"
	return []question{
		Filter{}.asked(grants, "all", span{}),
		Filter{CouponID: &coupon}.asked(grants, "`coupon_id`", span{}),
		Filter{CouponID: &coupon, Window: &window}.asked(grants, "`coupon_id`, `window`", span{}),
		Filter{UserID: &user}.asked(grants, "`user_id`, with or without others", span{}),
		Filter{Window: &window}.asked(grants, "`window`", span{}),
		Filter{GrantID: &id}.asked(grants, "`grant_id`, with or without others", span{}),
		{grants, "`from`, `to`: a step of the search", logTimesAt, []any{large, once, []int64{12000, 40000}}},
		Filter{CouponID: &large, Window: &once}.asked(grants, "`from`, `to`: the page", span{12000, 40000}),
		Filter{CouponID: &coupon, After: &then}.asked(download, "the next page", span{}),
		{"`GET …/summary`", "definitions", definitionsOf, []any{coupon}},
		{"`GET …/summary`", "windows", windowsOf, []any{coupon}},
		{"`histogram=second`", "first and last", logTimeBounds, []any{large, once}},
		{"`histogram=second`", "how many there are", lastSequence, []any{large, once}},
		{"`histogram=second`", "a step of the search", logTimesAt, []any{large, once, []int64{12000, 40000}}},
		{"ledger", "a partition's row, to lock it", placeOf + "FOR UPDATE", []any{1}},
		{"ledger", "a partition's row, to look at it", placeOf + andSchema, []any{1}},
		{"`firstcome archive`", "the last that a partition has", lastFacts, []any{0}},
	}
}

// Each question of the API, and of a ledger to itself, reads through indexes, and little more than its page: it never goes through a table, nor through all that a coupon
// has, and sorts no more than it reads. docs/operations.md shows which index is whose.
func TestQueries_UseIndexes(t *testing.T) {
	s := newStore(t)
	fill(t, s)
	table := "| who asks | what | reads |\n|---|---|---|\n"
	for _, q := range questions() {
		plan := frugal(t, s, q.who+" "+q.what, q.sql, q.args...)
		table += fmt.Sprintf("| %s | %s | %s |\n", q.who, q.what, strings.Join(plan.scans(), ", "))
	}
	isShown(t, table)
	for _, f := range filters("coupon-5", "user-77", "2026-11-03") {
		window := "2026-11-03"
		if f.Window != nil {
			window = *f.Window
		}
		for _, f.After = range []*Position{nil, {"coupon-5", window, 3}, {"coupon-5", window, 75000}} {
			q := f.asked("", "", span{})
			frugal(t, s, f.String(), q.sql, q.args...)
		}
	}
}

// frugal holds a statement to what every one of them must do.
func frugal(t *testing.T, s *Store, name, sql string, args ...any) plan {
	t.Helper()
	const most = 150 // rows; a coupon of these has 2,000 grants, and one 50,000
	plan := explain(t, s, sql, args...)
	if plan.has("Seq Scan") || plan.read() > most {
		t.Errorf("%s reads %.0f rows:\n%s\n%+v", name, plan.read(), sql, plan)
	}
	return plan
}

const beginTable, endTable = "<!-- queries -->\n", "<!-- end of queries -->\n"

// isShown holds the page to the table, or writes it.
func isShown(t *testing.T, table string) {
	t.Helper()
	const path = "../../../../docs/operations.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), beginTable)
	shown, after, ended := strings.Cut(rest, endTable)
	switch {
	case !found || !ended:
		t.Fatal("docs/operations.md has no place for the table of queries")
	case *rewrite:
		if err := os.WriteFile(path, []byte(before+beginTable+table+endTable+after), 0o644); err != nil {
			t.Fatal(err)
		}
	case shown != table:
		t.Errorf("docs/operations.md shows other indexes (-rewrite writes them):\n%s\nand they are\n%s", shown, table)
	}
}

// fill makes tables whose size makes the planner choose.
func fill(t *testing.T, s *Store) {
	t.Helper()
	for _, sql := range []string{
		`INSERT INTO grants SELECT 0, n, gen_random_uuid(), 'coupon-' || n % 50, 'user-' || n / 50, CASE WHEN n % 2 = 0 THEN '' ELSE '2026-11-' || lpad((n / 50 % 28 + 1)::text, 2, '0') END, n, n, now(), now() FROM generate_series(1, 100000) n`,
		`INSERT INTO grants SELECT 1, n, gen_random_uuid(), 'large', 'user-' || n * 7919 % 50000, '', n, 50000, now(), now() + n * interval '1 ms' FROM generate_series(1, 50000) n`,
		`INSERT INTO archived SELECT 'old-' || n % 2000, '2025-' || n / 2000, 1, now(), now(), '', 'file' FROM generate_series(1, 20000) n`,
		`INSERT INTO definitions SELECT 0, n, 'coupon-' || n % 2000, 1, 'none', 'UTC', null, null, 1, now(), now() FROM generate_series(1, 20000) n`,
		`INSERT INTO coupon_windows SELECT coupon_id, "window", count(*), now(), now() FROM grants GROUP BY 1, 2`,
		`INSERT INTO ledger_offsets SELECT n, 0, -1 FROM generate_series(0, 4095) n`,
		`INSERT INTO coupon_windows SELECT 'other-' || n, '', 1, now(), now() FROM generate_series(1, 20000) n`,
		`VACUUM ANALYZE`,
	} {
		if _, err := s.write.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// plan is a node of what EXPLAIN says.
type plan struct {
	Type    string  `json:"Node Type"`
	Index   string  `json:"Index Name"`
	Rows    float64 `json:"Actual Rows"`
	Loops   float64 `json:"Actual Loops"`
	Removed float64 `json:"Rows Removed by Filter"`
	Plans   []plan
}

func (p plan) has(kind string) bool {
	return p.Type == kind || slices.ContainsFunc(p.Plans, func(q plan) bool { return q.has(kind) })
}

// read is how many rows the scans below have looked at.
func (p plan) read() (rows float64) {
	for _, q := range p.Plans {
		rows += q.read()
	}
	if strings.HasSuffix(p.Type, "Scan") {
		rows += (p.Rows + p.Removed) * p.Loops
	}
	return rows
}

func explain(t *testing.T, s *Store, sql string, args ...any) plan {
	t.Helper()
	var text []byte
	if err := s.write.QueryRow(t.Context(), "EXPLAIN (ANALYZE, FORMAT JSON) "+sql, args...).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan plan }
	if err := json.Unmarshal(text, &plans); err != nil || len(plans) != 1 {
		t.Fatal(err, string(text))
	}
	return plans[0].Plan
}

// scans are what is read of the tables, each once, in the order of the plan.
func (p plan) scans() (all []string) {
	if p.Index != "" {
		all = append(all, "`"+p.Index+"`")
	}
	for _, q := range p.Plans {
		for _, scan := range q.scans() {
			if !slices.Contains(all, scan) {
				all = append(all, scan)
			}
		}
	}
	return all
}
