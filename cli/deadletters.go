package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/cli/internal/letter"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

func (a *app) deadLetters() *cobra.Command {
	cmd := &cobra.Command{Use: "dead-letters", Short: "Look at what was refused, and send it once more", Args: cobra.NoArgs}
	cmd.RunE = func(*cobra.Command, []string) error { return usagef("dead-letters needs one of list, replay") }
	cmd.AddCommand(a.deadLettersList(), a.deadLettersReplay())
	return cmd
}

// letterFlags say which dead letters are meant.
type letterFlags struct {
	topic     string
	partition int32
	reasons   []string
	coupon    string
	since     string
}

var letterFlagNames = []string{"topic", "partition", "reason", "coupon", "since"}

func (f *letterFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.topic, "topic", "", "only of this topic: coupon.requests, coupon.grants")
	cmd.Flags().Int32Var(&f.partition, "partition", 0, "only of this partition of the topic they came from")
	cmd.Flags().StringSliceVar(&f.reasons, "reason", nil, fmt.Sprintf("only for these reasons, a comma list of %v", letter.Reasons))
	cmd.Flags().StringVar(&f.coupon, "coupon", "", "only with this key")
	cmd.Flags().StringVar(&f.since, "since", "", "only records from then on: RFC 3339, or a duration before now")
}

// filter checks what was given.
func (f *letterFlags) filter(given func(flag string) bool) (letter.Filter, error) {
	filter := letter.Filter{Topic: f.topic, CouponID: f.coupon}
	if given("partition") {
		if f.partition < 0 {
			return filter, usagef("--partition must not be negative")
		}
		filter.Partition = &f.partition
	}
	for _, text := range f.reasons {
		reason := event.Reason(text)
		if !slices.Contains(letter.Reasons, reason) {
			return filter, usagef("--reason %q is none of %v", text, letter.Reasons)
		}
		filter.Reasons = append(filter.Reasons, reason)
	}
	since, err := instant("--since", f.since, time.Now(), beforeNow)
	if since != nil {
		filter.Since = *since
	}
	return filter, err
}

// box is where the dead letters are; the client is the caller's to close.
func (a *app) box() (letter.Box, error) {
	client, err := a.kafka()
	if err != nil {
		return letter.Box{}, err
	}
	return letter.Box{Client: client, Topic: client.Config().Topic(event.TopicDeadLetters)}, nil
}

// tableLimit is how many lines a table has unless it is told.
const tableLimit = 100

func (a *app) deadLettersList() *cobra.Command {
	var f letterFlags
	var limit int
	var show bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Print what lies in coupon.dead-letters",
		Long: `Print what lies in coupon.dead-letters, the newest last: at which offset, where the record came from, when that was
written, why it was refused, its coupon and how long its value is. Dead letters are written at least once: copies of one
are one line, with their number.

The value names a person, so it is shown only with --show (in full, headers too) and with --json: an object a line, with
key, value and headers, in base64 where they are not UTF-8, and whether the value was cut, which it is at 512 KiB.`,
		Example: `  firstcome dead-letters list
  firstcome dead-letters list --reason wrong_partition --since 2h
  firstcome dead-letters list --topic coupon.requests --partition 3 --coupon tea --show
  firstcome dead-letters list --json | jq -r .from.offset`,
		Args: cobra.NoArgs,
	}
	f.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", tableLimit, "only so many, the newest; 0 = all; with --json all unless it is given")
	cmd.Flags().BoolVar(&show, "show", false, "show the values too, which are personal data")
	asJSON := jsonFlag(cmd)
	a.endpointFlags(cmd, endpoint.KafkaBrokers)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		given := cmd.Flags().Changed
		if limit < 0 {
			return usagef("--limit must not be negative")
		}
		if *asJSON && !given("limit") {
			limit = 0
		}
		box, entries, err := a.letters(cmd.Context(), f, nil, given)
		if err != nil {
			return err
		}
		defer box.Client.Close()
		all := len(entries)
		if limit > 0 {
			entries = entries[max(0, all-limit):]
		}
		switch {
		case *asJSON:
			return box.Open(cmd.Context(), entries, func(e letter.Entry, r event.Record) error { return letter.WriteJSON(a.Out, e, r) })
		case all == 0:
			fmt.Fprintln(a.Out, "no dead letter, or none that is meant")
			return nil
		case show:
			err = box.Open(cmd.Context(), entries, func(e letter.Entry, r event.Record) error { return letter.WriteWhole(a.Out, e, r) })
		default:
			err = letter.WriteTable(a.Out, entries)
		}
		if err == nil && len(entries) < all {
			fmt.Fprintf(a.Out, "the newest %d of %d: --limit 0 shows all\n", len(entries), all)
		}
		return err
	}
	return cmd
}

// letters looks for those that are meant. Without an error the box is the caller's to close.
func (a *app) letters(ctx context.Context, f letterFlags, offsets []int64, given func(flag string) bool) (letter.Box, []letter.Entry, error) {
	filter, err := f.filter(given)
	if err != nil {
		return letter.Box{}, nil, err
	}
	box, err := a.box()
	if err != nil {
		return letter.Box{}, nil, err
	}
	filter.Offsets = offsets
	if slices.Contains([]string{event.TopicRequests, event.TopicGrants}, f.topic) { // named without the prefix
		filter.Topic = box.Client.Config().Topic(f.topic)
	}
	entries, err := box.List(ctx, filter)
	if err != nil {
		box.Client.Close()
	}
	return box, entries, err
}

// replayTimeout is how long a broker may take to acknowledge one record.
const replayTimeout = 30 * time.Second

func (a *app) deadLettersReplay() *cobra.Command {
	var f letterFlags
	var offsets []int64
	var yes bool
	var p letter.Replay
	cmd := &cobra.Command{
		Use:   "replay --offset N | replay FILTER --yes",
		Short: "Send refused requests once more",
		Long: `Send refused requests once more to coupon.requests: key, value and headers as they came, in the partition in which
their coupon belongs. That is for records that somebody wrote into a wrong partition, and for those that only a later
issuer can read (unsupported_rules, unknown_type): update the issuers and this command first, then replay.

A replayed claim is a new request with a new place in the log: it counts from now, not from when it was first written, and
everyone who asked meanwhile was earlier. A replayed definition is a definition of now: it replaces those that came
after it. To replay a claim twice is harmless: who has the coupon gets already_issued. The dead letter stays where it is.

Which ones must be said: by --offset (that of the dead letter, as list prints it; any copy), or by filters and --yes. With
--dry-run nothing is sent, and it prints what would be. Not sent is what the issuer would refuse again (unless
--force), what was cut, a batch that could not be read, and what did not come from coupon.requests: a dead letter of the
journal is an alarm, for an operator to look into.

It prints what became of each, and where it went. Exit code 1 where one was not sent.`,
		Example: `  firstcome dead-letters replay --offset 17 --dry-run
  firstcome dead-letters replay --offset 17,18
  firstcome dead-letters replay --reason wrong_partition --since 2h --dry-run
  firstcome dead-letters replay --reason wrong_partition --since 2h --yes`,
		Args: cobra.NoArgs,
	}
	f.add(cmd)
	cmd.Flags().Int64SliceVar(&offsets, "offset", nil, "of the dead letter; a comma list, or given several times")
	cmd.Flags().BoolVar(&yes, "yes", false, "send all that the filters let through")
	cmd.Flags().BoolVar(&p.DryRun, "dry-run", false, "send nothing, print what would be sent")
	cmd.Flags().BoolVar(&p.Force, "force", false, "send also what the issuer would refuse again")
	a.endpointFlags(cmd, endpoint.KafkaBrokers)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		given := cmd.Flags().Changed
		filtered := slices.ContainsFunc(letterFlagNames, given)
		switch {
		case len(offsets) == 0 && !filtered:
			return usagef("dead-letters replay needs --offset, or filters and --yes")
		case len(offsets) > 0 && filtered:
			return usagef("--offset and filters both say which are meant: give one of them")
		case filtered && !yes && !p.DryRun:
			return usagef("filters need --yes; --dry-run shows what would be sent")
		}
		box, entries, err := a.letters(cmd.Context(), f, offsets, given)
		if err != nil {
			return err
		}
		defer box.Client.Close()
		missing := a.missing(offsets, entries)
		tally, err := a.replay(cmd.Context(), box, entries, p)
		tally.Refused += missing
		if p.DryRun {
			fmt.Fprint(a.Out, "if it were no dry run: ")
		}
		fmt.Fprintln(a.Out, tally)
		if err == nil && !tally.All() {
			err = errSaid
		}
		return err
	}
	return cmd
}

// missing says which offsets hold nothing.
func (a *app) missing(offsets []int64, entries []letter.Entry) (n int) {
	for _, offset := range offsets {
		if !slices.ContainsFunc(entries, func(e letter.Entry) bool { return slices.Contains(e.Copies, offset) }) {
			n++
			fmt.Fprintf(a.Out, "dead letter %d: not sent: there is nothing at that offset\n", offset)
		}
	}
	return n
}

func (a *app) replay(ctx context.Context, box letter.Box, entries []letter.Entry, p letter.Replay) (t letter.Tally, err error) {
	t.Left = len(entries)
	cfg := box.Client.Config()
	p.Requests, p.Journal, p.Out = cfg.Topic(event.TopicRequests), cfg.Topic(event.TopicGrants), a.Out
	if p.Partitions, err = box.Client.Partitions(ctx, p.Requests); err != nil {
		return t, err
	}
	sender, err := producer.New(producer.Config{Client: box.Client, Topic: p.Requests, Timeout: replayTimeout})
	if err != nil {
		return t, err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), replayTimeout)
		defer cancel()
		err = errors.Join(err, sender.Close(closing))
	}()
	p.Producer = sender
	return p.Run(ctx, box, entries)
}
