package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/cli/internal/client"
	"github.com/firstcome/firstcome/cli/internal/endpoint"
)

// maxPrefer is what a gateway waits at most.
const maxPrefer = 30 * time.Second

func (a *app) claim() *cobra.Command {
	var wait time.Duration
	var id string
	cmd := &cobra.Command{
		Use:   "claim COUPON USER | claim --id CLAIM_ID",
		Short: "Ask for one, as one person; or ask what became of a claim",
		Long: `Ask for one, as one person. Without --wait it prints the claim id, with which the outcome can be asked for later;
with --wait it waits so long for the decision. Exit code 1 where it was refused.`,
		Example: `  firstcome claim tea ada --wait 5s
  firstcome claim tea ada
  firstcome claim --id AeX4…                  what became of it?`,
		Args: cobra.MaximumNArgs(2),
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait for the decision")
	cmd.Flags().StringVar(&id, "id", "", "ask about this claim instead of making one")
	asJSON := jsonFlag(cmd)
	a.endpointFlags(cmd, endpoint.GatewayURL)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if id == "" && len(args) != 2 || id != "" && len(args) != 0 {
			return usagef("claim needs COUPON and USER, or --id alone")
		}
		gateway, err := a.gateway()
		if err != nil {
			return err
		}
		gateway.HTTP.Timeout += min(wait, maxPrefer)
		answer, err := ask(cmd.Context(), gateway, id, args, wait)
		if err != nil {
			return err
		}
		if *asJSON {
			err = writeJSON(a.Out, answer)
		} else {
			writeAnswer(a.Out, answer)
		}
		if err == nil && answer.Status == client.Refused {
			err = errSaid
		}
		return err
	}
	return cmd
}

// ask makes the claim, or takes the one that exists, and follows it until it is decided or the wait is over.
func ask(ctx context.Context, g *client.Gateway, id string, args []string, wait time.Duration) (client.Answer, error) {
	deadline := time.Now().Add(wait)
	var answer client.Answer
	var err error
	if id != "" {
		answer, err = g.Status(ctx, id)
	} else {
		answer, err = g.Claim(ctx, args[0], args[1], min(wait, maxPrefer))
	}
	for err == nil && answer.Status == client.Pending && time.Now().Before(deadline) {
		if err = sleep(ctx, min(max(answer.RetryAfter, 100*time.Millisecond), time.Until(deadline))); err == nil {
			id := answer.ClaimID
			answer, err = g.Status(ctx, id)
		}
	}
	var p *client.Problem
	if errors.As(err, &p) && p.Name == "duplicate-request" && p.ClaimID != "" {
		err = fmt.Errorf("%w; `firstcome claim --id %s` tells what became of the first", err, p.ClaimID)
	}
	return answer, err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func writeAnswer(w io.Writer, a client.Answer) {
	switch a.Status {
	case client.Granted:
		fmt.Fprintf(w, "granted: sequence %d%s, grant %s\n", a.Sequence, inWindow(a.Window), a.GrantID)
	case client.Refused:
		fmt.Fprintf(w, "refused: %s", a.Outcome)
		if a.Sequence > 0 {
			fmt.Fprintf(w, ", with sequence %d%s, grant %s", a.Sequence, inWindow(a.Window), a.GrantID)
		}
		fmt.Fprintln(w)
	default:
		fmt.Fprint(w, "pending")
		if a.Position != nil {
			fmt.Fprintf(w, ": at most %d in front", *a.Position)
		}
		fmt.Fprintln(w)
	}
	if a.ClaimID != "" {
		fmt.Fprintf(w, "claim %s\n", a.ClaimID)
	}
}

func inWindow(window string) string {
	if window == "" {
		return ""
	}
	return " of " + window
}
