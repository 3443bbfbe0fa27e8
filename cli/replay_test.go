package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
)

// commit puts a group somewhere, as a consumer does.
func (p post) commit(group string, partition int32, offset int64) {
	p.t.Helper()
	client := p.servers.Kafka(p.t)
	eventually(p.t, "the group's offset is committed", func() bool {
		return client.Commit(p.t.Context(), broker.Commit{
			Group: client.Config().Group(group), Generation: -1, Topic: client.Config().Topic(event.TopicGrants), Partition: partition, Offset: broker.Offset{Offset: offset},
		}) == nil
	})
}

// committed is where a group is in tea's partition, with what it knows of before.
func (p post) committed(group string) broker.Offset {
	p.t.Helper()
	client := p.servers.Kafka(p.t)
	got, _, err := client.Committed(p.t.Context(), client.Config().Group(group), client.Config().Topic(event.TopicGrants), home())
	if err != nil {
		p.t.Fatal(err)
	}
	return got
}

func (p post) replay(in string, args ...string) ran {
	p.t.Helper()
	var out, errs strings.Builder
	system := System{Out: &out, Err: &errs, Getenv: func(name string) string { return p.env[name] }}
	if in != "" {
		system.In = strings.NewReader(in)
	}
	code := Run(p.t.Context(), append([]string{"replay"}, args...), system)
	return ran{code, out.String(), errs.String()}
}

func TestReplay(t *testing.T) {
	p := newPost(t, coupontest.Start(t, coupontest.Kafka))
	p.journal()
	h, e := home(), elsewhere()
	here := func(format string, args ...any) string { return fmt.Sprintf(format, append([]any{h}, args...)...) }
	for _, c := range []struct {
		name, in, args string
		code           int
		says           []string
		leaves         broker.Offset
	}{
		{"nobody to ask", "", "--from beginning", exitUsage, []string{"replay needs --yes, or a terminal to ask on"}, broker.Offset{Offset: 7}},
		{"dry run", "", "--from beginning --dry-run", exitOK, []string{here("%d 7 0 7 -"), "if it were no dry run: group " + p.servers.TopicPrefix + "mailer would consume 8 offsets again"}, broker.Offset{Offset: 7}},
		{"who says no", "no\n", "--from beginning", exitFailure, []string{"consume 8 offsets again? (yes/no) nothing was moved"}, broker.Offset{Offset: 7}},
		{"who says yes", "yes\n", "--from " + here("%d:6"), exitOK, []string{here("%d 7 6 1 5"), fmt.Sprintf("%d 1 1 0 - not meant", e), "consumes 1 offsets again"}, broker.Offset{Offset: 6, Metadata: "source=5"}},
		{"in front of the duplicate", "", "--yes --from " + here("%d:3"), exitOK, []string{here("%d 7 3 4 3")}, broker.Offset{Offset: 3, Metadata: "source=3"}},
		{"a time", "", "--yes --from 2026-11-22T12:00:06Z", exitOK, []string{here("%d 7 5 2 5"), fmt.Sprintf("%d 1 1 0 - the group is not beyond that", e)}, broker.Offset{Offset: 5, Metadata: "source=5"}},
		{"the beginning", "", "--yes --from beginning", exitOK, []string{here("%d 7 0 7 -"), fmt.Sprintf("%d 1 0 1 -", e), "the group has committed nothing here"}, broker.Offset{}},
		{"where it is", "", "--yes --from 0s", exitOK, []string{"nothing to consume again"}, broker.Offset{Offset: 7}},
		{"beyond where it is", "", "--yes --from " + here("%d:8"), exitFailure, []string{here("partition %d: offset 8 is not in the log, which has 0 up to 7")}, broker.Offset{Offset: 7}},
		{"a partition that is not there", "", "--yes --from 3:0", exitFailure, []string{"has no partition 3: they count from 0 to 2"}, broker.Offset{Offset: 7}},
		{"no partition:offset", "", "--yes --from 1:x", exitUsage, []string{`"1:x" is not partition:offset`}, broker.Offset{Offset: 7}},
		{"half a duration", "", "--yes --from -", exitUsage, []string{`"-" is neither`}, broker.Offset{Offset: 7}},
		{"one twice", "", "--yes --from 1:0,1:1", exitUsage, []string{"partition 1 stands twice"}, broker.Offset{Offset: 7}},
		{"the end", "", "--yes --from end", exitUsage, []string{`--from "end" is neither beginning`}, broker.Offset{Offset: 7}},
		{"nowhere", "", "--yes", exitUsage, []string{"replay needs --group and --from"}, broker.Offset{Offset: 7}},
	} {
		p.commit("mailer", h, 7)
		p.commit("mailer", e, 1)
		got := p.replay(c.in, append([]string{"--group", "mailer"}, strings.Fields(c.args)...)...)
		said := squeeze(got.out + got.err)
		for _, text := range c.says {
			if !strings.Contains(said, text) {
				t.Errorf("%s: it says\n%s\nwithout %q", c.name, said, text)
			}
		}
		if left := p.committed("mailer"); got.code != c.code || left != c.leaves {
			t.Errorf("%s: exit code %d, the group is at %+v, not %+v", c.name, got.code, left, c.leaves)
		}
	}
	p.commit("slow", h, 2)
	if got := p.replay("", "--group", "slow", "--yes", "--from", here("%d:5")); got.code != exitFailure || !strings.Contains(got.err, "the group is at offset 2, and to begin at 5 would pass over what it has not consumed") {
		t.Errorf("a group that is not there yet: %+v", got)
	}
	for group, why := range map[string]string{"mailr": "has committed nothing in topic", "firstcome.issuer": "the progress that Redis has", "firstcome.ledger": "its own row in Postgres"} {
		if got := p.replay("", "--group", group, "--yes", "--from", "beginning"); got.code != exitFailure || !strings.Contains(got.err, why) {
			t.Errorf("%s: %+v", group, got)
		}
	}
}

// downstream is a consumer that starts from its group, and what it was handed.
type downstream struct {
	mu   sync.Mutex
	got  []int64 // sources of grants
	stop func()
}

func (p post) consume(group string) *downstream {
	p.t.Helper()
	client := p.servers.Kafka(p.t)
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan error, 1)
	d := &downstream{}
	go func() {
		ended <- consumer.Run(ctx, consumer.Config{Client: client, GroupID: client.Config().Group(group), Log: slog.New(slog.DiscardHandler)}, consumer.Each{
			Granted: func(_ context.Context, g event.CouponGranted, _ event.Meta) error {
				d.mu.Lock()
				defer d.mu.Unlock()
				d.got = append(d.got, g.Source.Offset)
				return nil
			},
		})
	}()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			p.t.Error(err)
		}
	})
	p.t.Cleanup(d.stop)
	return d
}

func (d *downstream) has(sources ...int64) func() bool {
	return func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return fmt.Sprint(d.got) == fmt.Sprint(sources)
	}
}

// A group consumes again exactly what it consumed from there, without the duplicate that stands behind that place; never
// while somebody consumes.
func TestReplay_ConsumesAgain(t *testing.T) {
	p := newPost(t, coupontest.Start(t, coupontest.Kafka))
	for _, source := range []int64{1, 2, 3, 2, 3, 4} {
		p.write(event.TopicGrants, home(), p.granted(source, fmt.Sprint("user-", source), source))
	}
	first := p.consume("mailer")
	eventually(t, "all is consumed", first.has(1, 2, 3, 4))
	eventually(t, "and committed", func() bool { return p.committed("mailer").Offset == 6 })
	again := []string{"--group", "mailer", "--yes", "--from", fmt.Sprintf("%d:3", home())}
	if got := p.replay("", again...); got.code != exitFailure || !strings.Contains(got.err, "has members (firstcome at ") || p.committed("mailer").Offset != 6 {
		t.Errorf("while it consumes: %+v", got)
	}
	first.stop()
	eventually(t, "the group has no members, and is moved", func() bool { return p.replay("", again...).code == exitOK })
	second := p.consume("mailer")
	p.write(event.TopicGrants, home(), p.granted(5, "user-5", 5))
	eventually(t, "what came after that is consumed again", second.has(4, 5))
}
