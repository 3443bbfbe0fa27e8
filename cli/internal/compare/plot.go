package compare

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"time"

	"github.com/go-analyze/charts"

	"github.com/firstcome/firstcome/cli/internal/crowd"
)

// plot is a drawing for light and for dark screens.
type plot struct{ Light, Dark template.HTML }

// drawn draws twice, without a background: that is the page's.
func drawn(height int, draw func(p *charts.Painter, theme charts.ColorPalette) error) (plot, error) {
	var both [2]template.HTML
	for i, name := range []string{charts.ThemeVividLight, charts.ThemeVividDark} {
		p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: 900, Height: height})
		if err := draw(p, charts.GetTheme(name).WithBackgroundColor(charts.ColorTransparent)); err != nil {
			return plot{}, err
		}
		svg, err := p.Bytes()
		if err != nil {
			return plot{}, err
		}
		both[i] = template.HTML(svg) // of names and figures of our own
	}
	return plot{both[0], both[1]}, nil
}

// bars has one for each name, the first on top.
func bars(names []string, values []float64, format func(float64) string) (plot, error) {
	return drawn(60+32*len(names), func(p *charts.Painter, theme charts.ColorPalette) error {
		names, values := slices.Clone(names), slices.Clone(values)
		slices.Reverse(names) // the library begins below
		slices.Reverse(values)
		opt := charts.NewBarChartOptionWithData([][]float64{values})
		opt.Theme, opt.Horizontal, opt.ValueFormatter = theme, true, format
		opt.CategoryAxis.Labels = names
		opt.ValueAxis = []charts.ValueAxisOption{{Min: charts.Ptr(0.0), LabelCount: 5}}
		opt.SeriesList[0].Label.Show, opt.SeriesList[0].Label.ValueFormatter = charts.Ptr(true), format
		return p.BarChart(opt)
	})
}

// curves have how long so many of a hundred people waited at most, each ten times as high as the line below.
func curves(names []string, waits [][]time.Duration) (plot, error) {
	return drawn(460, func(p *charts.Painter, theme charts.ColorPalette) error {
		var values [][]float64
		low, high := math.Inf(1), math.Inf(-1)
		for _, all := range waits {
			var curve []float64
			for percent := range 101 {
				curve = append(curve, math.Log10(milliseconds(percentile(all, float64(percent)))))
			}
			low, high = min(low, curve[0]), max(high, curve[100])
			values = append(values, curve)
		}
		low, high = math.Floor(low), math.Max(math.Ceil(high), math.Floor(low)+1)
		opt := charts.NewLineChartOptionWithData(values)
		opt.Theme, opt.Legend.SeriesNames, opt.Symbol.Shape = theme, names, charts.SymbolNone
		opt.ValueFormatter = func(power float64) string { return power10(power) }
		opt.YAxis[0].Min, opt.YAxis[0].Max, opt.YAxis[0].LabelCount = charts.Ptr(low), charts.Ptr(high), int(high-low)+1
		opt.XAxis.Labels = nil
		for percent := range 101 {
			opt.XAxis.Labels = append(opt.XAxis.Labels, fmt.Sprintf("%d %%", percent))
		}
		opt.XAxis.LabelCount = 11
		return p.LineChart(opt)
	})
}

// milliseconds are never none, so that they have a logarithm.
func milliseconds(d time.Duration) float64 {
	return max(float64(d), float64(time.Microsecond)) / float64(time.Millisecond)
}

// power10 is so many milliseconds in words.
func power10(power float64) string {
	return time.Duration(math.Round(math.Pow(10, power) * float64(time.Millisecond))).Round(time.Microsecond).String()
}

func whole(v float64) string { return crowd.Grouped(int64(math.Round(v))) }

func fraction(v float64) string { return fmt.Sprintf("%.2f", v) }

// plots are those of a report, in the order of the page.
type plots struct{ PerSecond, Waits, Trips, Bytes plot }

func (r Report) plots() (p plots, err error) {
	var names, all []string
	var perSecond, trips, bytes []float64
	var waits [][]time.Duration
	for _, row := range r.All() {
		name := row.Page.Name
		all, perSecond, trips, bytes = append(all, name), append(perSecond, row.PerSecond), append(trips, row.Trips), append(bytes, row.Bytes)
		if row.Sold {
			names, waits = append(names, name), append(waits, row.Waits)
		}
	}
	for _, b := range []struct {
		into   *plot
		values []float64
		format func(float64) string
	}{{&p.PerSecond, perSecond, whole}, {&p.Trips, trips, fraction}, {&p.Bytes, bytes, whole}} {
		if *b.into, err = bars(all, b.values, b.format); err != nil {
			return p, err
		}
	}
	if len(names) > 0 {
		p.Waits, err = curves(names, waits)
	}
	return p, err
}
