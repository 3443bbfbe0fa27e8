package compare

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/strategy"
)

// faults are the columns of faults, in order.
var faults = []struct {
	fault  strategy.Fault
	column string
}{
	{strategy.OverIssue, "over-issue"}, {strategy.UnderIssue, "under-issue"}, {strategy.Duplicate, "duplicates"}, {strategy.Inversion, "inversions"},
	{strategy.Untrue, "untrue"}, {strategy.Lost, "lost after kill"}, {strategy.Forgotten, "Redis lost"},
}

// Write prints the report as Markdown that can be read as it is.
func (r Report) Write(w io.Writer) {
	fmt.Fprintf(w, "`%s`\n\n", r.Command)
	for _, line := range r.heading() {
		fmt.Fprintf(w, "- %s\n", line)
	}
	fmt.Fprintln(w)
	r.writeTable(w)
	fmt.Fprintf(w, "\n%s\n", r.notes())
}

// notes are what a reader of the table has to know besides.
func (r Report) notes() string {
	notes := costNote
	for _, row := range r.All() {
		if asked := len(row.Waits); row.Sold && asked < r.People {
			notes += fmt.Sprintf(" After a minute %s let nobody else in: %s people had asked.", row.Page.Name, crowd.Grouped(int64(asked)))
		}
	}
	return notes
}

const costNote = "Round trips and bytes are Redis's, a person, whoever causes them; postgres asks no Redis."

// heading is what a reader of figures has to know.
func (r Report) heading() []string {
	lines := []string{
		r.Began.UTC().Format("2006-01-02 15:04") + " UTC; " + r.Machine,
		fmt.Sprintf("%s people ask for %s coupons, %s at a time, at %d server processes", crowd.Grouped(int64(r.People)), crowd.Grouped(r.Limit), crowd.Grouped(int64(r.Concurrency)), r.Size.Servers),
	}
	var servers []string
	for _, s := range r.Servers {
		servers = append(servers, s.String())
	}
	lines = append(lines, strings.Join(servers, "; "))
	if warning := r.warning(); warning != "" {
		lines = append(lines, warning)
	}
	return lines
}

func (s Server) String() string {
	switch {
	case !s.Embedded:
		return s.Version + " (given)"
	case s.Name == "Postgres":
		return s.Version + " (embedded)"
	}
	return fmt.Sprintf("%s in place of %s (embedded)", s.Version, s.Name)
}

// warning says what figures are worth that were measured on embedded servers.
func (r Report) warning() string {
	embedded := r.Embedded()
	if len(embedded) == 0 {
		return ""
	}
	var what []string
	for _, s := range embedded {
		if s.Name == "Postgres" {
			what = append(what, "a Postgres beside, on this machine's disk")
		} else {
			what = append(what, "an imitation of "+s.Name+" in one process")
		}
	}
	return "**Embedded servers**: " + strings.Join(what, ", ") + ". Faults show on them as on others; figures of speed say nothing about real servers"
}

func (r Report) writeTable(w io.Writer) {
	cells := [][]string{r.columns()}
	for _, row := range r.All() {
		cells = append(cells, row.cells())
	}
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, line := range cells {
		for i, cell := range line {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				cell += space
			} else {
				cell = space + cell
			}
			fmt.Fprintf(w, "| %s ", cell)
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			writeRule(w, widths)
		}
	}
}

func writeRule(w io.Writer, widths []int) {
	for i, width := range widths {
		if i == 0 {
			fmt.Fprintf(w, "|%s", strings.Repeat("-", width+2))
		} else {
			fmt.Fprintf(w, "|%s:", strings.Repeat("-", width+1))
		}
	}
	fmt.Fprintln(w, "|")
}

func (r Report) columns() []string {
	columns := []string{"strategy", "people/s", "of the floor", "p50", "p99"}
	for _, f := range faults {
		columns = append(columns, f.column)
	}
	return append(columns, "round trips", "bytes")
}

// none stands where there is no figure.
const none = "–"

func (r Row) cells() []string {
	name := r.Page.Name
	cells := []string{name, none, none, none, none}
	if r.Sold {
		cells = []string{name, crowd.Grouped(int64(math.Round(r.PerSecond))), none, wait(r.Wait(50)), wait(r.Wait(99))}
		if r.OfFloor > 0 { // that of the floor is known
			cells[2] = fmt.Sprintf("%.3f", r.OfFloor)
		}
	}
	for _, f := range faults {
		if name == floorName {
			cells = append(cells, none)
		} else {
			cells = append(cells, crowd.Grouped(int64(r.Faults[f.fault])))
		}
	}
	if !r.Told {
		return append(cells, none, none)
	}
	return append(cells, fmt.Sprintf("%.2f", r.Trips), crowd.Grouped(int64(math.Round(r.Bytes))))
}

// wait is a duration of which three digits are told.
func wait(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.2f s", ms/1000)
}
