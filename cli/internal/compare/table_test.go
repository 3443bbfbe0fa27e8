package compare

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/strategy"
)

func page(t *testing.T, name string) strategy.Page {
	t.Helper()
	for _, p := range strategy.Pages() {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no page has the name %s", name)
	return strategy.Page{}
}

func milli(n ...float64) (all []time.Duration) {
	for _, ms := range n {
		all = append(all, time.Duration(ms*float64(time.Millisecond)))
	}
	return all
}

func sample(t *testing.T) Report {
	return Report{
		Command: "firstcome compare --people 3", Began: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), Machine: "2 CPUs", Size: Size{3, 2, 4, 256},
		Servers: []Server{{"Kafka", "kfake v0", true}, {"Redis", "Redis 8.0.5", false}, {"Postgres", "PostgreSQL 17.6", true}},
		Floor:   Row{Page: strategy.Page{Name: floorName}, PerSecond: 20000, OfFloor: 1, Waits: milli(1, 2, 3), Trips: 1, Bytes: 60, Sold: true, Told: true},
		Rows: []Row{
			{Page: page(t, "lock"), PerSecond: 1234.6, OfFloor: 0.06173, Waits: milli(0.5, 2500), Trips: 61.25, Bytes: 12345.6, Sold: true, Told: true,
				Faults: map[strategy.Fault]int{strategy.Inversion: 1234, strategy.Forgotten: 2}},
			{Page: page(t, "postgres"), Faults: map[strategy.Fault]int{strategy.OverIssue: 1}, Wrong: []string{"it <broke>"}},
		},
	}
}

const wantTable = "`firstcome compare --people 3`" + `

- 2026-11-28 12:00 UTC; 2 CPUs
- 3 people ask for 2 coupons, 256 at a time, at 4 server processes
- kfake v0 in place of Kafka (embedded); Redis 8.0.5 (given); PostgreSQL 17.6 (embedded)
- **Embedded servers**: an imitation of Kafka in one process, a Postgres beside, on this machine's disk. Faults show on them as on others; figures of speed say nothing about real servers

| strategy | people/s | of the floor |     p50 |     p99 | over-issue | under-issue | duplicates | inversions | untrue | lost after kill | Redis lost | round trips |  bytes |
|----------|---------:|-------------:|--------:|--------:|-----------:|------------:|-----------:|-----------:|-------:|----------------:|-----------:|------------:|-------:|
| floor    |   20,000 |        1.000 | 2.00 ms | 3.00 ms |          – |           – |          – |          – |      – |               – |          – |        1.00 |     60 |
| lock     |    1,235 |        0.062 | 0.50 ms |  2.50 s |          0 |           0 |          0 |      1,234 |      0 |               0 |          2 |       61.25 | 12,346 |
| postgres |        – |            – |       – |       – |          1 |           0 |          0 |          0 |      0 |               0 |          0 |           – |      – |

Round trips and bytes are Redis's, a person, whoever causes them; postgres asks no Redis. After a minute lock let nobody else in: 2 people had asked.
`

func TestReport_Write(t *testing.T) {
	var out strings.Builder
	sample(t).Write(&out)
	if out.String() != wantTable {
		t.Errorf("got\n%s\nwant\n%s", out.String(), wantTable)
	}
	if report := sample(t); report.OK() {
		t.Error("what differs from a page is in order")
	}
}

// Without a floor nothing is a part of it; that the floor let nobody else in is said too.
func TestReport_NoFloor(t *testing.T) {
	r := sample(t)
	r.Floor, r.Rows = Row{Page: r.Floor.Page, Wrong: []string{"it broke"}}, r.Rows[:1]
	r.Rows[0].OfFloor = 0
	if got := r.Rows[0].cells()[2]; got != none {
		t.Errorf("of a floor that nobody knows it is %s", got)
	}
	r = sample(t)
	r.Floor.Waits = r.Floor.Waits[:1]
	if want := "After a minute floor let nobody else in: 1 people had asked."; !strings.Contains(r.notes(), want) {
		t.Errorf("it says %q, want %q", r.notes(), want)
	}
}

// On servers that are all given there is nothing to warn of.
func TestReport_Given(t *testing.T) {
	r := sample(t)
	for i := range r.Servers {
		r.Servers[i].Embedded = false
	}
	if warning := r.warning(); warning != "" {
		t.Errorf("it warns: %s", warning)
	}
}

func TestReport_WriteHTML(t *testing.T) {
	var out strings.Builder
	if err := sample(t).WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`<td class="none">0</td><td class="none">0</td><td class="none">0</td><td class="named">1,234</td>`, `<td class="wrong">1</td>`, "<li>it &lt;broke&gt;</li>",
		"figures of speed say nothing about real servers", "Who waits for the lock waits in no order.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the page does not have %s", want)
		}
	}
	if n := strings.Count(out.String(), "<svg"); n != 8 {
		t.Errorf("%d drawings, want four for light and four for dark screens", n)
	}
}

// Each fault that a strategy's page names is explained, and none else.
func TestWhy(t *testing.T) {
	for _, p := range strategy.Pages() {
		if how[p.Name] == "" {
			t.Errorf("the page does not say how %s works", p.Name)
		}
		if got, want := slices.Sorted(maps.Keys(why[p.Name])), slices.Sorted(slices.Values(p.Fails)); !slices.Equal(got, want) {
			t.Errorf("%s: %v are explained, and the strategy's page names %v", p.Name, got, want)
		}
	}
}

func TestPercentile(t *testing.T) {
	waits := make([]time.Duration, 200)
	for i := range waits {
		waits[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		p    float64
		want time.Duration
	}{{0, 1}, {0.5, 1}, {50, 100}, {99, 198}, {99.9, 200}, {100, 200}} {
		if got := percentile(waits, c.p); got != c.want {
			t.Errorf("percentile %v is %d, want %d", c.p, got, c.want)
		}
	}
	if percentile(nil, 50) != 0 {
		t.Error("nobody waited for something")
	}
}

// A short sale has the same mixture.
func TestSize_Short(t *testing.T) {
	for _, c := range []struct{ size, want Size }{
		{Size{10000, 1000, 4, 256}, Size{500, 50, 4, 256}},
		{Size{100_000, 10, 4, 1000}, Size{500, 1, 4, 500}},
		{Size{60, 1000, 1, 256}, Size{60, 1000, 1, 60}},
	} {
		if got := c.size.short(500); got != c.want {
			t.Errorf("%+v becomes %+v, want %+v", c.size, got, c.want)
		}
	}
}
