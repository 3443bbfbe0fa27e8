package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/cli/internal/client"
	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/cli/internal/endpoint"
)

// crowdFlags say who asks how.
type crowdFlags struct {
	limit       int64
	people      int
	rate        float64
	duration    time.Duration
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
it says so, after a lost connection the next gateway soon, a pending claim until it is decided. At the end every claim
is asked about once more.

Without --rate so many ask at the same time as --concurrency says, and the next person comes as one has an answer. With
--rate people arrive at that pace whatever the answers are, and latency counts from when a person arrived: a second in
which nobody is answered is a second that everybody waits. --concurrency is then only a bound for safety (each who asks
has a connection); the table says how many it made wait, and where that is not 0 raise it.

People are spread over the gateways of a comma list. They must share CLAIM_ID_KEYS, since a person whose gateway is gone
asks another about the same claim.

Exit code 1 where someone got no answer, where not exactly min(limit, people) were granted, where a claim could not be
asked about again, or where two answers contradict each other. It goes on while the services are killed and started again.`,
		Example: `  firstcome load --limit 1000 --people 20000
  firstcome load --rate 2000 --duration 1m                         # 2,000 claims/s, 120,000 people
  firstcome load --gateway http://gateway-1:8080,http://gateway-2:8080
  firstcome load --coupon tea --people 500                         # a coupon that exists
  firstcome load --coupon tea --limit 50 --people 500              # defined, or defined anew
  firstcome load --record answers.ndjson && firstcome audit --answers answers.ndjson`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().Int64Var(&f.limit, "limit", 1000, "of the coupon that is defined for this load")
	cmd.Flags().IntVar(&f.people, "people", 20000, "how many ask")
	cmd.Flags().Float64Var(&f.rate, "rate", 0, "how many arrive a second; 0 = the next as one has an answer")
	cmd.Flags().DurationVar(&f.duration, "duration", 0, "with --rate, in place of --people: for how long people arrive")
	cmd.Flags().IntVar(&f.concurrency, "concurrency", closedConcurrency, fmt.Sprintf("how many ask at the same time; with --rate at most so many, and %d unless it is given", openConcurrency))
	cmd.Flags().StringVar(&f.couponID, "coupon", "", "ask for this one; it is defined only where --limit is given too")
	cmd.Flags().DurationVar(&f.wait, "wait", 5*time.Second, "how long the gateway is asked to wait for a decision; 0 = poll")
	cmd.Flags().DurationVar(&f.giveUp, "give-up", time.Minute, "after how long without an answer a person leaves")
	cmd.Flags().BoolVar(&f.recheck, "recheck", true, "at the end ask about every claim once more")
	cmd.Flags().StringVar(&f.record, "record", "", "write what each was told into this file, a JSON object a line")
	a.endpointFlags(cmd, endpoint.GatewayURL)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.complete(cmd.Flags().Changed); err != nil {
			return err
		}
		gateways, err := a.gateways(newHTTP(f.concurrency, f.wait+requestTimeout))
		if err != nil {
			return err
		}
		verdict, err := a.loadRecorded(cmd.Context(), gateways, f)
		if err == nil && !verdict.OK() {
			err = errSaid
		}
		return err
	}
	return cmd
}

const (
	closedConcurrency = 1000
	openConcurrency   = 20000 // a system can be away for four seconds at 5,000 claims/s, and the ports of one address suffice
	maxPeople         = 10_000_000
	minRate, maxRate  = 0.01, 1_000_000.0
)

// complete checks the flags, and fills in those that follow from others.
func (f *crowdFlags) complete(given func(flag string) bool) error {
	f.define = f.couponID == "" || given("limit")
	open := given("rate") && f.rate != 0
	if open && !(minRate <= f.rate && f.rate <= maxRate) {
		return usagef("--rate must be from %v to %.0f claims a second", minRate, maxRate)
	}
	if given("duration") {
		switch {
		case !open:
			return usagef("--duration needs --rate")
		case given("people"):
			return usagef("--duration and --people both say how many ask: give one of them")
		case f.duration <= 0:
			return usagef("--duration must be longer than nothing")
		case f.rate*f.duration.Seconds() > maxPeople:
			return usagef("%v claims a second for %v are more than %d people", f.rate, f.duration, maxPeople)
		}
		f.people = int(math.Ceil(f.rate * f.duration.Seconds()))
	}
	if open && !given("concurrency") {
		f.concurrency = openConcurrency
	}
	switch {
	case f.people < 1 || f.people > maxPeople:
		return usagef("--people must be from 1 to %d", maxPeople)
	case f.concurrency < 1:
		return usagef("--concurrency must be at least 1")
	case f.giveUp <= 0:
		return usagef("--give-up must be longer than nothing")
	}
	f.concurrency = min(f.concurrency, f.people)
	return nil
}

// newHTTP keeps a connection for each who asks at the same time, so that a crowd doesn't pay for dialling each time.
func newHTTP(connections int, timeout time.Duration) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxConnsPerHost, t.MaxIdleConns, t.MaxIdleConnsPerHost = connections, connections, connections
	return &http.Client{Transport: t, Timeout: timeout}
}

// loadRecorded writes what people were told into the file, if one is wanted. That is made before anybody asks: nobody can be
// told the same a second time.
func (a *app) loadRecorded(ctx context.Context, gateways []*client.Gateway, f crowdFlags) (verdict crowd.Verdict, err error) {
	if f.record == "" {
		_, verdict, err = a.loadOnce(ctx, gateways, f)
		return verdict, err
	}
	file, err := os.Create(f.record)
	if err != nil {
		return verdict, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	result, verdict, err := a.loadOnce(ctx, gateways, f)
	if err == nil {
		err = writeRecords(file, result.Records)
	}
	return verdict, err
}

// loadOnce lets a crowd ask, and prints the table.
func (a *app) loadOnce(ctx context.Context, gateways []*client.Gateway, f crowdFlags) (crowd.Result, crowd.Verdict, error) {
	coupon, want, err := target(ctx, gateways, f)
	if err != nil {
		return crowd.Result{}, crowd.Verdict{}, err
	}
	fmt.Fprintf(a.Out, "coupon %s, %s of %s left: %s people ask, %s\n", coupon.CouponID,
		crowd.Grouped(coupon.Remaining), crowd.Grouped(coupon.Limit), crowd.Grouped(int64(f.people)), f.pace())
	bar := a.bar(int64(f.people), "asking", "answers")
	cfg := crowd.Config{
		CouponID: coupon.CouponID, UserPrefix: word() + "-", People: f.people, Rate: f.rate, Concurrency: f.concurrency,
		Wait: f.wait, GiveUp: f.giveUp, Recheck: f.recheck, Done: func() { _ = bar.Add(1) },
	}
	for _, g := range gateways {
		cfg.Doors = append(cfg.Doors, g)
	}
	result := crowd.Run(ctx, cfg)
	_ = bar.Finish()
	verdict := crowd.Judge(result, want)
	verdict.Write(a.Out)
	return result, verdict, nil
}

func (f crowdFlags) pace() string {
	if f.rate > 0 {
		return fmt.Sprintf("%v a second", f.rate)
	}
	return crowd.Grouped(int64(f.concurrency)) + " at the same time"
}

// target is the coupon that is asked for, and how many of the crowd must get one, as told by the first gateway that answers.
func target(ctx context.Context, gateways []*client.Gateway, f crowdFlags) (c client.Coupon, want crowd.Expectation, err error) {
	if f.couponID == "" {
		f.couponID = "load-" + word()
	}
	for _, g := range gateways {
		if c, want, err = targetAt(ctx, g, f); !client.Lost(err) {
			break
		}
	}
	return c, want, err
}

func targetAt(ctx context.Context, gateway *client.Gateway, f crowdFlags) (c client.Coupon, want crowd.Expectation, err error) {
	fresh := false
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

func writeRecords(to io.Writer, records []crowd.Record) error {
	w := bufio.NewWriter(to)
	lines := json.NewEncoder(w)
	for _, r := range records {
		if err := lines.Encode(r); err != nil {
			return err
		}
	}
	return w.Flush()
}
