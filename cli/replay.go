package cli

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/cli/internal/rewind"
	"github.com/firstcome/firstcome/pkg/event"
)

// ownGroups are the services', with why it does nothing good to move their offsets.
var ownGroups = map[string]string{
	"firstcome.issuer": "an issuer never starts at its group's offset, but at the progress that Redis has: what Redis has lost it takes from the journal by itself",
	"firstcome.ledger": "a ledger never starts at its group's offset, but at its own row in Postgres: a Postgres that was emptied or restored is filled by itself",
}

func (a *app) replayGroup() *cobra.Command {
	var group, from string
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "replay --group G --from WHERE",
		Short: "Have a downstream group consume the journal again",
		Long: `Have a downstream group consume the journal again from somewhere: its committed offsets are moved back, with the highest
source before each in their metadata, so that duplicates are still left out. The group must have no members: stop them,
replay, start them. It gets every grant again from there, so its handler must bear that: an own table keyed by grant_id
does, an e-mail does not. A handler that starts from a store of its own does not look at the group's offset: move that.

WHERE is beginning, an RFC 3339 time, a duration before now such as -2h, or partition:offset, a comma list, for these
partitions only. Offsets are only moved back: a partition in which the group is not that far is left as it is. The group
is named without the KAFKA_TOPIC_PREFIX, which broker.Config.Group puts in front.

It prints what is to be done and asks for yes, unless --yes is given. For the highest source it reads the journal up to
each place once. Exit code 1 where the group has members, or is one of Firstcome's own, which have their own place.`,
		Example: `  firstcome replay --group mailer --from -2h --dry-run
  firstcome replay --group warehouse --from beginning --yes
  firstcome replay --group warehouse --from 3:41200,7:39950`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&group, "group", "", "the downstream group")
	cmd.Flags().StringVar(&from, "from", "", "beginning, a time, a duration before now, or partition:offset, a comma list")
	cmd.Flags().BoolVar(&yes, "yes", false, "move the offsets without asking")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "move nothing, print what would be")
	a.endpointFlags(cmd, endpoint.KafkaBrokers)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if group == "" || from == "" {
			return usagef("replay needs --group and --from")
		}
		to, err := rewindTo(from, time.Now())
		if err != nil {
			return err
		}
		if !yes && !dryRun && a.In == nil {
			return usagef("replay needs --yes, or a terminal to ask on; --dry-run shows what it would do")
		}
		if why, own := ownGroups[group]; own {
			return fmt.Errorf("%s is Firstcome's own group: %s", group, why)
		}
		client, err := a.kafka()
		if err != nil {
			return err
		}
		defer client.Close()
		g := rewind.Group{Client: client, Name: client.Config().Group(group), Topic: client.Config().Topic(event.TopicGrants)}
		return a.rewind(cmd.Context(), g, to, yes, dryRun)
	}
	return cmd
}

// rewindTo reads where a group is to begin.
func rewindTo(text string, now time.Time) (rewind.To, error) {
	if first, _, found := strings.Cut(text, ":"); found && isNumber(first) {
		return rewindOffsets(text)
	}
	from, err := beginning(text, now)
	if err != nil || !from.Beginning && from.Time.IsZero() {
		return rewind.To{}, usagef("--from %q is neither beginning, a time such as 2026-11-22T10:00:00Z, a duration such as -10m nor partition:offset", text)
	}
	return rewind.To{Beginning: from.Beginning, Time: from.Time}, nil
}

func isNumber(text string) bool {
	_, err := strconv.ParseInt(text, 10, 32)
	return err == nil
}

func rewindOffsets(text string) (rewind.To, error) {
	to := rewind.To{Offsets: make(map[int32]int64)}
	for _, place := range strings.Split(text, ",") {
		before, after, _ := strings.Cut(strings.TrimSpace(place), ":")
		partition, err := strconv.ParseInt(before, 10, 32)
		offset, err2 := strconv.ParseInt(after, 10, 64)
		if err != nil || err2 != nil || partition < 0 || offset < 0 {
			return to, usagef("--from: %q is not partition:offset", place)
		}
		if _, twice := to.Offsets[int32(partition)]; twice {
			return to, usagef("--from: partition %d stands twice", partition)
		}
		to.Offsets[int32(partition)] = offset
	}
	return to, nil
}

func (a *app) rewind(ctx context.Context, g rewind.Group, to rewind.To, yes, dryRun bool) error {
	if err := g.Idle(ctx); err != nil {
		return err
	}
	bar := a.bar(-1, "reading the journal", "offsets")
	steps, err := g.Plan(ctx, to, func(done, of int64) {
		bar.ChangeMax64(of)
		_ = bar.Set64(done)
	})
	_ = bar.Finish()
	if err != nil {
		return err
	}
	if err := rewind.Write(a.Out, steps); err != nil {
		return err
	}
	total := crowd.Grouped(rewind.Total(steps))
	switch {
	case rewind.Total(steps) == 0:
		fmt.Fprintf(a.Out, "\nnothing to consume again: group %s is nowhere beyond that\n", g.Name)
		return nil
	case dryRun:
		fmt.Fprintf(a.Out, "\nif it were no dry run: group %s would consume %s offsets again\n", g.Name, total)
		return nil
	case !yes && !a.confirm(ctx, fmt.Sprintf("\nlet group %s consume %s offsets again? (yes/no) ", g.Name, total)):
		fmt.Fprintln(a.Out, "nothing was moved")
		return errSaid
	}
	moved, err := g.Move(ctx, steps)
	if err != nil {
		return fmt.Errorf("%w; %d partitions were moved, replay again moves the others", err, moved)
	}
	fmt.Fprintf(a.Out, "\nmoved: group %s consumes %s offsets again\n", g.Name, total)
	return nil
}

// confirm asks whoever sits at the terminal.
func (a *app) confirm(ctx context.Context, question string) bool {
	fmt.Fprint(a.Out, question)
	answer := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(a.In).ReadString('\n') // nothing is no
		answer <- text
	}()
	select {
	case text := <-answer:
		return strings.TrimSpace(text) == "yes"
	case <-ctx.Done():
		return false
	}
}
