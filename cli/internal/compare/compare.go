// Package compare runs every strategy on the same servers, measures a sale of each, attacks it, and writes down both.
package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/firstcome/firstcome/strategy"
)

// Config is one comparison.
type Config struct {
	Size
	Given
	Strategies []string // by their pages' names
	Program    string   // the firstcome command, which runs as child too
	Getenv     func(string) string
	Err        io.Writer // what children say that nobody expects

	// Begin is told what begins, and of how many; what it returns is called as each is done. -1: nobody knows.
	Begin func(what string, most int64) func()
}

// Report is what came of it.
type Report struct {
	Command string
	Began   time.Time
	Machine string
	Servers []Server
	Size
	Floor Row
	Rows  []Row
}

// Row is what came of one strategy.
type Row struct {
	Page       strategy.Page
	PerSecond  float64         // people decided
	OfFloor    float64         // that of the floor is 1
	Waits      []time.Duration // of each person until decided, the shortest first
	Trips      float64         // of Redis, a person
	Bytes      float64
	Faults     map[strategy.Fault]int
	Seen       []Seen
	Wrong      []string // what differs from the page, and whatever else failed
	Sold, Told bool     // there are figures of the sale, and of what it costs
}

// Seen is where faults were counted.
type Seen struct {
	Where  string
	Faults map[strategy.Fault]int
}

// OK says that each strategy showed what its page names, and nothing else.
func (r Report) OK() bool {
	return !slices.ContainsFunc(r.All(), func(row Row) bool { return len(row.Wrong) > 0 })
}

// All are the floor and the strategies.
func (r Report) All() []Row { return append([]Row{r.Floor}, r.Rows...) }

// Embedded are the servers that are not given.
func (r Report) Embedded() (all []Server) {
	for _, s := range r.Servers {
		if s.Embedded {
			all = append(all, s)
		}
	}
	return all
}

// Wait is what p of a hundred people waited at most.
func (r Row) Wait(p float64) time.Duration { return percentile(r.Waits, p) }

// Run is the comparison. Whatever it starts has ended when it returns, and what it made on servers is gone.
func Run(ctx context.Context, cfg Config) (report Report, err error) {
	report = Report{Began: time.Now(), Size: cfg.Size, Machine: fmt.Sprintf("%d CPUs, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())}
	cfg.Begin("opening the servers", -1)
	p, err := openPlace(ctx, cfg)
	if err != nil {
		return report, err
	}
	ctx, p.abandon = context.WithCancelCause(ctx)
	defer p.abandon(nil)
	defer func() {
		cfg.Begin("giving the servers back", -1)
		err = errors.Join(err, p.close(giving))
	}()
	report.Servers = p.Servers
	report.Floor = (&stand{place: p, cfg: cfg, page: strategy.Page{Name: floorName}}).measure(ctx)
	for _, page := range strategy.Pages() {
		if !slices.Contains(cfg.Strategies, page.Name) {
			continue
		}
		row := (&stand{place: p, cfg: cfg, page: page}).measure(ctx)
		if ctx.Err() != nil {
			return report, ended(ctx)
		}
		if report.Floor.PerSecond > 0 {
			row.OfFloor = row.PerSecond / report.Floor.PerSecond
		}
		report.Rows = append(report.Rows, row)
	}
	return report, nil
}

// ended is why ctx has: somebody else is at the run's Redis, or it was interrupted.
func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, errForeign) {
		return cause
	}
	return ctx.Err()
}

func (r *Row) count(where string, faults map[strategy.Fault]int) {
	r.Seen = append(r.Seen, Seen{where, maps.Clone(faults)})
	for fault, n := range faults {
		r.Faults[fault] += n
	}
}
