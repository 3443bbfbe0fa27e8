package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/cli/internal/follow"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
)

// followed are the topics that can be followed.
var followed = []string{event.TopicGrants, event.TopicRequests, event.TopicDeadLetters}

func (a *app) tail() *cobra.Command {
	var topic, from string
	var filter follow.Filter
	var t follow.Topic
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Follow the journal, the requests log or the dead letters",
		Long: `Print the records of a topic as they are written, one a line, until it is interrupted: when, in which partition and at
which offset, of which type, for which coupon, and what it says. Records of a type that is not known are shown as they are.
With --json it is one object a line: place, time, the CloudEvents attributes, other headers, key and data, in base64 where
they are not UTF-8; of a dead letter, those of the record that was refused, and under dead_letter where it was and why.

It begins at the end, or with --until-end at the beginning, unless --from says otherwise. What is there already comes in the
order of its times, then the new records as they come; each partition is in order. Duplicates in the journal are left out
by their source, as every consumer does; of those that repeat what stood more than 1,000 records before --from it can't
know. It joins no group and moves no offset.

What it prints names persons.`,
		Example: `  firstcome tail
  firstcome tail --from -10m --coupon tea --type granted
  firstcome tail --from beginning --until-end --json | jq -r 'select(.data.sequence == .data.limit) | .data.coupon_id'
  firstcome tail --topic coupon.dead-letters`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&topic, "topic", event.TopicGrants, "one of "+strings.Join(followed, ", "))
	cmd.Flags().StringVar(&from, "from", "", "beginning, end, an RFC 3339 time, or a duration before now such as -10m")
	cmd.Flags().BoolVar(&t.UntilEnd, "until-end", false, "end where the topic ended when this began")
	cmd.Flags().StringSliceVar(&filter.Coupons, "coupon", nil, "only of these coupons; a comma list, or given several times")
	cmd.Flags().StringSliceVar(&filter.Users, "user", nil, "only about these persons")
	cmd.Flags().StringSliceVar(&filter.Types, "type", nil, "only of these types: granted, defined, requested, or the whole of a ce_type")
	asJSON := jsonFlag(cmd)
	a.endpointFlags(cmd, endpoint.KafkaBrokers)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if !slices.Contains(followed, topic) {
			return usagef("--topic %q is none of %s", topic, strings.Join(followed, ", "))
		}
		if from == "" && t.UntilEnd {
			from = "beginning"
		}
		if t.From, err = beginning(from, time.Now()); err != nil {
			return err
		}
		for i, name := range filter.Types {
			if long, short := follow.Types[name]; short {
				filter.Types[i] = long
			}
		}
		if t.Client, err = a.kafka(); err != nil {
			return err
		}
		defer t.Client.Close()
		t.Name, t.Journal, t.Say = t.Client.Config().Topic(topic), topic == event.TopicGrants, a.note
		return a.follow(cmd.Context(), t, filter, *asJSON)
	}
	return cmd
}

// follow prints until the end, or until somebody has seen enough.
func (a *app) follow(ctx context.Context, t follow.Topic, filter follow.Filter, asJSON bool) error {
	w := follow.Writer{Out: a.Out, JSON: asJSON, Colour: a.colours()}
	err := t.Run(ctx, func(r event.Record) error {
		if !filter.Match(r) {
			return nil
		}
		return w.Write(r)
	})
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// beginning reads where to begin: "" is the end.
func beginning(text string, now time.Time) (follow.From, error) {
	switch text {
	case "", "end":
		return follow.From{}, nil
	case "beginning":
		return follow.From{Beginning: true}, nil
	}
	at, err := instant("--from", strings.TrimPrefix(text, "-"), now, beforeNow)
	if err != nil || at == nil {
		return follow.From{}, usagef("--from %q is neither beginning, end, a time such as 2026-11-22T10:00:00Z nor a duration such as -10m", text)
	}
	return follow.From{Time: *at}, nil
}

// kafka is a client of the brokers that were found, the caller's to close.
func (a *app) kafka() (*broker.Client, error) {
	found, err := a.find(endpoint.KafkaBrokers)
	if err != nil {
		return nil, err
	}
	cfg, err := endpoint.Kafka(found, a.Getenv)
	if err != nil {
		return nil, err
	}
	return broker.New(cfg)
}

// note says what is no result.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.Err, "firstcome: "+format+"\n", args...)
}

// colours are for terminals, where nobody has said that they want none (https://no-color.org).
func (a *app) colours() bool {
	f, ok := a.Out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && a.Getenv("NO_COLOR") == ""
}
