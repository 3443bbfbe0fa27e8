package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/firstcome/firstcome/cli/internal/client"
	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/cli/internal/endpoint"
)

// crowdFlags say who asks how.
type crowdFlags struct {
	limit       int64
	people      int
	concurrency int
	couponID    string
	define      bool
	wait        time.Duration
	giveUp      time.Duration
	recheck     bool
	record      string
}

func (a *app) load() *cobra.Command {
	var f crowdFlags
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Let many people ask for one coupon at once, and judge what they were told",
		Long: `Let many people ask for one coupon at once over HTTP, each until it has an answer: a busy gateway is asked again when
it says so, a lost connection soon, a pending claim until it is decided. At the end every claim is asked about once more.

Exit code 1 where someone got no answer, where not exactly min(limit, people) were granted, or where two answers
contradict each other. It goes on while the services are killed and started again.`,
		Example: `  firstcome load --limit 1000 --people 20000
  firstcome load --coupon tea --people 500                         # a coupon that exists
  firstcome load --coupon tea --limit 50 --people 500              # defined, or defined anew
  firstcome load --record answers.ndjson && firstcome audit --answers answers.ndjson`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().Int64Var(&f.limit, "limit", 1000, "of the coupon that is defined for this load")
	cmd.Flags().IntVar(&f.people, "people", 20000, "how many ask")
	cmd.Flags().IntVar(&f.concurrency, "concurrency", 1000, "how many at the same time; each has a connection")
	cmd.Flags().StringVar(&f.couponID, "coupon", "", "ask for this one; it is defined only where --limit is given too")
	cmd.Flags().DurationVar(&f.wait, "wait", 5*time.Second, "how long the gateway is asked to wait for a decision; 0 = poll")
	cmd.Flags().DurationVar(&f.giveUp, "give-up", time.Minute, "after how long without an answer a person leaves")
	cmd.Flags().BoolVar(&f.recheck, "recheck", true, "at the end ask about every claim once more")
	cmd.Flags().StringVar(&f.record, "record", "", "write what each was told into this file, a JSON object a line")
	a.endpointFlags(cmd, endpoint.GatewayURL)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f.define = f.couponID == "" || cmd.Flags().Changed("limit")
		if err := f.check(); err != nil {
			return err
		}
		gateway, err := a.gateway()
		if err != nil {
			return err
		}
		gateway.HTTP = newHTTP(f.concurrency, f.wait+requestTimeout)
		_, verdict, err := a.loadOnce(cmd.Context(), gateway, f)
		if err == nil && !verdict.OK() {
			err = errSaid
		}
		return err
	}
	return cmd
}

func (f crowdFlags) check() error {
	switch {
	case f.people < 1:
		return usagef("--people must be at least 1")
	case f.concurrency < 1:
		return usagef("--concurrency must be at least 1")
	case f.giveUp <= 0:
		return usagef("--give-up must be longer than nothing")
	}
	return nil
}

// newHTTP keeps a connection for each who asks at the same time, so that a crowd doesn't pay for dialling each time.
func newHTTP(connections int, timeout time.Duration) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxConnsPerHost, t.MaxIdleConns, t.MaxIdleConnsPerHost = connections, connections, connections
	return &http.Client{Transport: t, Timeout: timeout}
}

// loadOnce lets a crowd ask, prints the table and keeps the record.
func (a *app) loadOnce(ctx context.Context, gateway *client.Gateway, f crowdFlags) (crowd.Result, crowd.Verdict, error) {
	coupon, want, err := target(ctx, gateway, f)
	if err != nil {
		return crowd.Result{}, crowd.Verdict{}, err
	}
	fmt.Fprintf(a.Out, "coupon %s, %s of %s left: %s people ask, %s at the same time\n", coupon.CouponID,
		crowd.Grouped(coupon.Remaining), crowd.Grouped(coupon.Limit), crowd.Grouped(int64(f.people)), crowd.Grouped(int64(min(f.concurrency, f.people))))
	progress := a.progress(f.people)
	result := crowd.Run(ctx, crowd.Config{
		Door: gateway, CouponID: coupon.CouponID, UserPrefix: word() + "-", People: f.people, Concurrency: f.concurrency,
		Wait: f.wait, GiveUp: f.giveUp, Recheck: f.recheck, Done: progress.done,
	})
	progress.end()
	verdict := crowd.Judge(result, want)
	verdict.Write(a.Out)
	if f.record != "" {
		return result, verdict, writeRecords(f.record, result.Records)
	}
	return result, verdict, nil
}

// target is the coupon that is asked for, and how many of the crowd must get one.
func target(ctx context.Context, gateway *client.Gateway, f crowdFlags) (c client.Coupon, want crowd.Expectation, err error) {
	fresh := false
	if f.couponID == "" {
		f.couponID = "load-" + word()
	}
	if f.define {
		c, fresh, err = gateway.Put(ctx, f.couponID, client.Definition{Limit: f.limit})
	} else {
		c, err = gateway.Coupon(ctx, f.couponID)
	}
	want = crowd.Expectation{Granted: min(c.Remaining, int64(f.people)), Limit: c.Limit, Fresh: fresh}
	switch {
	case c.Status == "closed":
		want.Granted, want.Exact = 0, true
	case (c.Status == "open" || c.Status == "sold_out") && c.ClosesAt == nil && c.Window == "none":
		want.Exact = true
	}
	return c, want, err
}

// word is short, and not twice the same.
func word() string { return strings.ToLower(rand.Text()[:8]) }

func writeRecords(path string, records []crowd.Record) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	for _, r := range records {
		if err := json.NewEncoder(w).Encode(r); err != nil {
			return err
		}
	}
	return w.Flush()
}

// progress is a bar on a terminal, and nothing elsewhere.
type progress struct{ bar *progressbar.ProgressBar }

func (a *app) progress(people int) progress {
	f, ok := a.Err.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return progress{}
	}
	return progress{progressbar.NewOptions(people, progressbar.OptionSetWriter(io.Writer(f)), progressbar.OptionSetDescription("asking"),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("answers"), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())}
}

func (p progress) done() {
	if p.bar != nil {
		_ = p.bar.Add(1) // a terminal that is gone is nobody's loss
	}
}

func (p progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
