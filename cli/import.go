package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/cli/internal/handover"
	"github.com/firstcome/firstcome/pkg/event"
)

func (a *app) importPeople() *cobra.Command {
	var limit int64
	var file, server, opens, closes string
	var spaces bool
	cmd := &cobra.Command{
		Use:   "import ID --limit N (--from-redis ADDR | --csv FILE)",
		Short: "Take over a coupon that was given out in another way, with everybody who has one",
		Long: `Take over a coupon that was given out in another way: everybody who has one gets it in the log, before anybody else can,
and nobody of them can get a second one.

It reads the set coupon:<ID>:issued of the strategies in docs/strategies.md from a Redis, or a CSV: the column user_id, or
the only one. Then it defines the coupon without opening times and with room for all of them, claims for each, waits until
all are granted, and defines it as wanted. The limit counts everybody: 100 with 30 people taken over leaves 70.

The door must be closed: whatever gave the coupon out is stopped, nobody waits in its queue any more, and nobody claims at the
gateway yet, where the coupon is unknown until then. If somebody does, import says who. It may be run again at any time: who has
one is passed over. Until then the coupon is open to all who ask the gateway, without times and with room for the whole list:
keep the door closed until import has ended with 0. Of two at once, only what the last to end says counts.

The people of a CSV get their sequences in its order, those of Redis in that of their ids: a set has none.`,
		Example: `  firstcome import tea --limit 100 --from-redis localhost:6379
  firstcome import tea --limit 100 --csv people.csv --opens-at 10m`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().Int64Var(&limit, "limit", 0, "how many are given out, those included who have one")
	cmd.Flags().StringVar(&server, "from-redis", "", "the Redis of the other way: host:port, or a redis:// URL with user, password and database")
	cmd.Flags().StringVar(&file, "csv", "", "file of who has one")
	cmd.Flags().BoolVar(&spaces, "spaces-belong", false, "white space around an id of the CSV is part of it (without, it is an error)")
	cmd.Flags().StringVar(&opens, "opens-at", "", "RFC 3339, or a duration from now, for everybody else")
	cmd.Flags().StringVar(&closes, "closes-at", "", "RFC 3339, or a duration from now, for everybody else")
	a.endpointFlags(cmd, endpoint.KafkaBrokers)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		wanted := event.CouponDefined{CouponID: args[0], Limit: limit, Window: event.WindowNone, TimeZone: "UTC"}
		if err := times(&wanted, opens, closes); err != nil {
			return err
		}
		if _, err := wanted.Message(event.Meta{Source: handover.Source}); err != nil {
			return usagef("%v", err)
		}
		if (server == "") == (file == "") {
			return usagef("import needs one of --from-redis and --csv")
		}
		all, err := people(cmd.Context(), server, file, spaces, args[0])
		if err != nil {
			return err
		}
		return a.handOver(cmd.Context(), all, wanted)
	}
	return cmd
}

func times(d *event.CouponDefined, opens, closes string) error {
	for _, t := range []struct {
		flag, text string
		at         *time.Time
	}{{"--opens-at", opens, &d.OpensAt}, {"--closes-at", closes, &d.ClosesAt}} {
		at, err := instant(t.flag, t.text, time.Now(), fromNow)
		if err != nil {
			return err
		}
		if at != nil {
			*t.at = at.Truncate(time.Millisecond) // as records have it
		}
	}
	return nil
}

// people reads who has the coupon.
func people(ctx context.Context, server, file string, spacesBelong bool, couponID string) (all []string, err error) {
	if server != "" {
		options := &redis.Options{Addr: server}
		if strings.Contains(server, "://") {
			if options, err = redis.ParseURL(server); err != nil {
				return nil, usagef("--from-redis: %v", err)
			}
		}
		client := redis.NewClient(options)
		defer client.Close()
		all, err = handover.FromRedis(ctx, client, couponID)
		file = handover.Key(couponID)
	} else {
		in, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer in.Close()
		if all, err = handover.FromCSV(in, spacesBelong); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s names nobody: `firstcome coupon put` defines a coupon that nobody has", file)
	}
	return all, err
}

func (a *app) handOver(ctx context.Context, people []string, wanted event.CouponDefined) error {
	client, err := a.kafka()
	if err != nil {
		return err
	}
	defer client.Close()
	bar := a.bar(-1, "importing", "requests")
	h := handover.Handover{Client: client, People: people, Wanted: wanted, Say: a.note, Decided: func(done, all int64) {
		bar.ChangeMax64(all)
		_ = bar.Set64(done)
	}}
	if err := h.Run(ctx); err != nil {
		return err
	}
	_ = bar.Finish()
	fmt.Fprintf(a.Out, "%s: %d people have it as before, %d of %d are left\n", wanted.CouponID, len(people), max(0, wanted.Limit-int64(len(people))), wanted.Limit)
	return nil
}
