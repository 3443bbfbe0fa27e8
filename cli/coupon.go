package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/cli/internal/client"
	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/cli/internal/endpoint"
)

// requestTimeout is for one call; defining a coupon may wait ten seconds for the issuer.
const requestTimeout = 20 * time.Second

// gateway is the one that was found, or the first of several, with the tokens of the environment.
func (a *app) gateway() (*client.Gateway, error) {
	all, err := a.gateways(newHTTP(10, requestTimeout))
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func (a *app) gateways(by *http.Client) ([]*client.Gateway, error) {
	found, err := a.find(endpoint.GatewayURL)
	if err != nil {
		return nil, err
	}
	urls, err := endpoint.Gateways(found)
	if err != nil {
		return nil, err
	}
	var all []*client.Gateway
	for _, url := range urls {
		all = append(all, &client.Gateway{URL: url, AdminToken: a.Getenv("ADMIN_TOKEN"), ClaimToken: a.Getenv("CLAIM_TOKEN"), HTTP: by})
	}
	return all, nil
}

func (a *app) coupon() *cobra.Command {
	cmd := &cobra.Command{Use: "coupon", Short: "Define, look at and close coupons", Args: cobra.NoArgs}
	cmd.RunE = func(*cobra.Command, []string) error { return usagef("coupon needs one of put, get, list, close") }
	cmd.AddCommand(a.couponPut(), a.couponGet(), a.couponList(), a.couponClose())
	return cmd
}

func (a *app) couponPut() *cobra.Command {
	var d client.Definition
	var opens, closes string
	cmd := &cobra.Command{
		Use:   "put ID --limit N",
		Short: "Define a coupon, or define it anew",
		Long: `Define a coupon, or define it anew: the limit may rise (it opens again) or fall (nothing granted is taken back), a time
that is not given is cleared. Window and time zone cannot change once something was granted.`,
		Example: `  firstcome coupon put tea --limit 100
  firstcome coupon put tea --limit 100 --opens-at 2026-11-22T10:00:00+09:00 --closes-at 2026-11-22T22:00:00+09:00
  firstcome coupon put tea --limit 100 --opens-at 30s          # in half a minute, by this machine's clock
  firstcome coupon put lunch --limit 50 --window daily --time-zone Asia/Seoul`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().Int64Var(&d.Limit, "limit", 0, "how many are given out")
	cmd.Flags().StringVar(&d.Window, "window", "none", "none: given once; daily: anew each day")
	cmd.Flags().StringVar(&d.TimeZone, "time-zone", "UTC", "IANA time zone whose days count")
	cmd.Flags().StringVar(&opens, "opens-at", "", "RFC 3339, or a duration from now")
	cmd.Flags().StringVar(&closes, "closes-at", "", "RFC 3339, or a duration from now")
	asJSON := jsonFlag(cmd)
	a.endpointFlags(cmd, endpoint.GatewayURL)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if !cmd.Flags().Changed("limit") {
			return usagef("--limit is missing")
		}
		if d.OpensAt, err = instant("--opens-at", opens, time.Now(), fromNow); err != nil {
			return err
		}
		if d.ClosesAt, err = instant("--closes-at", closes, time.Now(), fromNow); err != nil {
			return err
		}
		gateway, err := a.gateway()
		if err != nil {
			return err
		}
		c, created, err := gateway.Put(cmd.Context(), args[0], d)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(a.Out, c)
		}
		verb := "changed"
		if created {
			verb = "created"
		}
		fmt.Fprintf(a.Out, "coupon %s %s\n\n", c.CouponID, verb)
		return writeCoupon(a.Out, c)
	}
	return cmd
}

// In which direction a duration is counted.
const fromNow, beforeNow = 1, -1

// instant reads a time, or a duration from or before now; "" is none.
func instant(flag, text string, now time.Time, direction time.Duration) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		t := now.Add(direction * d).UTC().Truncate(time.Millisecond)
		return &t, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil, usagef("%s %q is neither a time such as 2026-11-22T10:00:00Z nor a duration such as 30s", flag, text)
	}
	return &t, nil
}

func (a *app) couponGet() *cobra.Command {
	cmd := &cobra.Command{Use: "get ID", Short: "Look at a coupon", Example: "  firstcome coupon get tea", Args: cobra.ExactArgs(1)}
	asJSON := jsonFlag(cmd)
	a.endpointFlags(cmd, endpoint.GatewayURL)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		gateway, err := a.gateway()
		if err != nil {
			return err
		}
		c, err := gateway.Coupon(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(a.Out, c)
		}
		return writeCoupon(a.Out, c)
	}
	return cmd
}

func (a *app) couponList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List all coupons, ordered by id", Example: "  firstcome coupon list --json", Args: cobra.NoArgs}
	asJSON := jsonFlag(cmd)
	a.endpointFlags(cmd, endpoint.GatewayURL)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		gateway, err := a.gateway()
		if err != nil {
			return err
		}
		all, err := gateway.Coupons(cmd.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(a.Out, all)
		}
		return writeCoupons(a.Out, all)
	}
	return cmd
}

func (a *app) couponClose() *cobra.Command {
	cmd := &cobra.Command{
		Use: "close ID", Short: "Close a coupon now: who asks from now on is refused",
		Long: `Close a coupon now: it is defined anew with closes_at at this moment, all else unchanged. Whoever asks from then on is
refused; 24 hours later it is retired and cannot come back.`,
		Example: "  firstcome coupon close tea", Args: cobra.ExactArgs(1),
	}
	asJSON := jsonFlag(cmd)
	a.endpointFlags(cmd, endpoint.GatewayURL)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		gateway, err := a.gateway()
		if err != nil {
			return err
		}
		c, err := gateway.Coupon(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		c, _, err = gateway.Put(cmd.Context(), args[0], closed(c, time.Now()))
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(a.Out, c)
		}
		fmt.Fprintf(a.Out, "coupon %s closed\n\n", c.CouponID)
		return writeCoupon(a.Out, c)
	}
	return cmd
}

// closed is the definition that closes c now. A coupon that has not opened yet loses its opening time, which would come
// after its end.
func closed(c client.Coupon, now time.Time) client.Definition {
	now = now.UTC().Truncate(time.Millisecond)
	d := client.Definition{Limit: c.Limit, Window: c.Window, TimeZone: c.TimeZone, OpensAt: c.OpensAt, ClosesAt: &now}
	if d.OpensAt != nil && !d.OpensAt.Before(now) {
		d.OpensAt = nil
	}
	return d
}

func jsonFlag(cmd *cobra.Command) *bool { return cmd.Flags().Bool("json", false, "print JSON") }

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func writeCoupon(w io.Writer, c client.Coupon) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "  %s\t%s\n", name, value)
		}
	}
	row("status", c.Status)
	row("limit", crowd.Grouped(c.Limit))
	row("granted", crowd.Grouped(c.Granted))
	row("remaining", crowd.Grouped(c.Remaining))
	row("window", c.Window)
	row("current window", c.CurrentWindow)
	row("time zone", c.TimeZone)
	row("opens at", when(c.OpensAt))
	row("closes at", when(c.ClosesAt))
	return t.Flush()
}

func writeCoupons(w io.Writer, all []client.Coupon) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no coupons yet: `firstcome coupon put ID --limit N` defines one")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "COUPON\tSTATUS\tLIMIT\tGRANTED\tREMAINING\tWINDOW")
	for _, c := range all {
		name := c.Window
		if c.CurrentWindow != "" {
			name = c.CurrentWindow
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", c.CouponID, c.Status, crowd.Grouped(c.Limit), crowd.Grouped(c.Granted), crowd.Grouped(c.Remaining), name)
	}
	return t.Flush()
}

func when(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}
