package compare

import (
	_ "embed"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/firstcome/firstcome/strategy"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// WriteHTML writes a page that needs nothing but itself.
func (r Report) WriteHTML(w io.Writer) error {
	plots, err := r.plots()
	if err != nil {
		return err
	}
	v := view{Report: r, Plots: plots, Columns: r.columns(), Note: r.notes(), Polls: pollNote}
	for _, line := range r.heading() {
		v.Heading = append(v.Heading, strings.ReplaceAll(line, "**", ""))
	}
	for _, row := range r.All() {
		v.Rows = append(v.Rows, row.shown())
	}
	return pageTemplate.Execute(w, v)
}

const pollNote = "At a queue a person asks for the result every 50 ms: what they wait is rounded up to that, their asking is part of the round trips, and it bounds people/s: as many ask as are answered."

// view is what the template sees.
type view struct {
	Report  Report
	Heading []string
	Columns []string
	Rows    []shownRow
	Plots   plots
	Note    string
	Polls   string
}

type shownRow struct {
	Name  string
	Cells []cell
	How   string
	Fails []reason
	Seen  []string
	Wrong []string
}

type cell struct{ Class, Text string }

// reason is why a strategy breaks.
type reason struct {
	Fault strategy.Fault
	Why   string
}

func (r Row) shown() shownRow {
	name := r.Page.Name
	s := shownRow{Name: name, How: how[name], Wrong: r.Wrong}
	for i, text := range r.cells()[1:] {
		c := cell{Class: "figure", Text: text}
		if at := i - 4; at >= 0 && at < len(faults) && name != floorName {
			c.Class = r.class(faults[at].fault)
		}
		s.Cells = append(s.Cells, c)
	}
	for _, fault := range r.Page.Fails {
		s.Fails = append(s.Fails, reason{fault, why[name][fault]})
	}
	for _, seen := range r.Seen {
		s.Seen = append(s.Seen, seen.Where+": "+listed(seen.Faults))
	}
	return s
}

// class is how a cell of faults looks: none, as the page says, or not as the page says.
func (r Row) class(fault strategy.Fault) string {
	named := slices.Contains(r.Page.Fails, fault)
	switch n := r.Faults[fault]; {
	case n == 0 && !named:
		return "none"
	case n > 0 && named:
		return "named"
	}
	return "wrong"
}

func listed(found map[strategy.Fault]int) string {
	var all []string
	for _, f := range faults {
		if n := found[f.fault]; n > 0 {
			all = append(all, whole(float64(n))+" "+string(f.fault))
		}
	}
	if len(all) == 0 {
		return "no fault"
	}
	return strings.Join(all, ", ")
}
