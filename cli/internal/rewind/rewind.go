// Package rewind moves the offsets of a group back, so that it consumes the journal again.
package rewind

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
)

// Group is whose offsets are moved, and in which topic.
type Group struct {
	Client *broker.Client
	Name   string // full name
	Topic  string // full name of the journal
}

// To is where the group is to begin; one of them is set.
type To struct {
	Beginning bool
	Time      time.Time       // records of then and later
	Offsets   map[int32]int64 // only these partitions
}

// Step is what becomes of one partition.
type Step struct {
	Partition int32
	Before    int64 // that the group has committed
	Committed bool  // false: it has committed nothing
	After     int64
	Highest   int64 // source of all records before After
	Why       string
}

// Again is how many offsets are consumed again; 0: the partition is left as it is.
func (s Step) Again() int64 {
	if !s.Committed {
		return 0
	}
	return max(0, s.Before-s.After)
}

// MembersError means that the group is at work.
type MembersError struct {
	Group   string
	Members []string // client and host of each
}

func (e *MembersError) Error() string {
	return fmt.Sprintf("group %s has members (%s): stop them first, they would go on from where they are and commit that", e.Group, strings.Join(e.Members, ", "))
}

// again tries several times: a coordinator that has only just begun sends one away.
func again(ctx context.Context, try func() error) error {
	var wait broker.Backoff
	for {
		err := try()
		if err == nil || !broker.Retriable(err) || wait.Tries() == 12 || wait.Wait(ctx) != nil {
			return err
		}
	}
}

// Idle is nil where the group has no members, else a *MembersError.
func (g Group) Idle(ctx context.Context) error {
	return again(ctx, func() error { return g.idle(ctx) })
}

func (g Group) idle(ctx context.Context) error {
	res, err := g.Client.Kafka().DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{g.Name}})
	if err != nil {
		return fmt.Errorf("looking at group %s: %w", g.Name, err)
	}
	for _, group := range res.Groups {
		if errors.Is(group.Error, kafka.GroupIdNotFound) {
			continue
		}
		if group.Error != nil {
			return fmt.Errorf("looking at group %s: %w", g.Name, group.Error)
		}
		if len(group.Members) > 0 {
			e := &MembersError{Group: g.Name}
			for _, m := range group.Members {
				e.Members = append(e.Members, m.ClientID+" at "+m.ClientHost)
			}
			return e
		}
	}
	return nil
}

// Plan says what is to be done. It only reads: the journal before each place, to know the highest source there. read is
// told how many offsets are done of how many.
func (g Group) Plan(ctx context.Context, to To, read func(done, of int64)) ([]Step, error) {
	n, err := g.Client.Partitions(ctx, g.Topic)
	if err != nil {
		return nil, err
	}
	for p := range to.Offsets {
		if p < 0 || int(p) >= n {
			return nil, fmt.Errorf("topic %s has no partition %d: they count from 0 to %d", g.Topic, p, n-1)
		}
	}
	var steps []Step
	starts := make(map[int32]int64)
	total := int64(0)
	for p := range int32(n) {
		var start int64
		var step Step
		err := again(ctx, func() (err error) {
			start, step, err = g.step(ctx, p, to)
			return err
		})
		if err != nil {
			return nil, err
		}
		steps, starts[p] = append(steps, step), start
		if step.Again() > 0 {
			total += step.After - start
		}
	}
	if to.Offsets == nil && !slices.ContainsFunc(steps, func(s Step) bool { return s.Committed }) {
		return nil, fmt.Errorf("group %s has committed nothing in topic %s: is that its name?", g.Name, g.Topic)
	}
	done := int64(0)
	for i := range steps {
		if steps[i].Again() == 0 {
			continue
		}
		steps[i].Highest, err = g.highest(ctx, steps[i].Partition, starts[steps[i].Partition], steps[i].After, func(n int64) {
			done += n
			read(done, total)
		})
		if err != nil {
			return nil, err
		}
	}
	return steps, nil
}

func (g Group) step(ctx context.Context, p int32, to To) (start int64, s Step, err error) {
	start, end, err := g.Client.Bounds(ctx, g.Topic, p)
	if err != nil {
		return start, s, err
	}
	have, committed, err := g.Client.Committed(ctx, g.Name, g.Topic, p)
	if err != nil {
		return start, s, err
	}
	s = Step{Partition: p, Before: have.Offset, Committed: committed, After: start, Highest: consumer.NoSource}
	if offset, meant := to.Offsets[p]; meant {
		s.After = offset
		return start, s, s.check(start, end)
	}
	switch {
	case to.Offsets != nil:
		s.Why = "not meant"
	case !to.Time.IsZero():
		s.After, err = g.Client.OffsetAt(ctx, g.Topic, p, to.Time)
	}
	switch {
	case err != nil || s.Why != "":
	case !committed:
		s.Why = "the group has committed nothing here"
	case s.Again() == 0:
		s.Why = "the group is not beyond that"
	}
	if s.Why != "" {
		s.After = s.Before
	}
	return start, s, err
}

// check is for an offset that somebody named.
func (s Step) check(start, end int64) error {
	switch {
	case s.After < start || s.After > end:
		return fmt.Errorf("partition %d: offset %d is not in the log, which has %d up to %d", s.Partition, s.After, start, end)
	case !s.Committed:
		return fmt.Errorf("partition %d: the group has committed nothing there, so there is nothing to consume again", s.Partition)
	case s.After > s.Before:
		return fmt.Errorf("partition %d: the group is at offset %d, and to begin at %d would pass over what it has not consumed", s.Partition, s.Before, s.After)
	}
	return nil
}

// highest is the highest source of the records from start up to, not including, end.
func (g Group) highest(ctx context.Context, partition int32, start, end int64, read func(n int64)) (int64, error) {
	f := consumer.NewFetcher(g.Client, g.Topic, partition, consumer.FetchConfig{MaxBytes: 4 << 20})
	defer f.Close()
	highest := consumer.NoSource
	for next := start; next < end; {
		got, err := f.Fetch(ctx, next)
		if err != nil {
			return 0, err
		}
		for i, r := range got.Records {
			if r.Offset >= end {
				got.Records = got.Records[:i]
				break
			}
		}
		_, highest = consumer.Unseen(got.Records, highest)
		read(min(got.Next, end) - next)
		next = got.Next
	}
	return highest, nil
}

// Move does what was planned, partition by partition. Kafka takes it only while the group has no members. Done again it
// does no harm.
func (g Group) Move(ctx context.Context, steps []Step) (moved int, err error) {
	for _, s := range steps {
		if s.Again() == 0 {
			continue
		}
		err := again(ctx, func() error {
			now, _, err := g.Client.Committed(ctx, g.Name, g.Topic, s.Partition) // the question may have stood for hours
			if err != nil {
				return err
			}
			if now.Offset < s.After {
				return fmt.Errorf("the group is at offset %d by now, and offsets are only moved back", now.Offset)
			}
			return g.Client.Commit(ctx, broker.Commit{
				Group: g.Name, Generation: -1, Topic: g.Topic, Partition: s.Partition,
				Offset: broker.Offset{Offset: s.After, Metadata: consumer.OffsetMetadata(s.Highest)},
			})
		})
		if errors.Is(err, broker.ErrFenced) {
			err = fmt.Errorf("the group has got members meanwhile: %w", err)
		}
		if err != nil {
			return moved, fmt.Errorf("partition %d: %w", s.Partition, err)
		}
		moved++
	}
	return moved, nil
}

// Write prints a line a partition.
func Write(w io.Writer, steps []Step) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PARTITION\tBEFORE\tAFTER\tAGAIN\tHIGHEST SOURCE\tNOTE")
	for _, s := range steps {
		before, after, highest := "-", "-", "-"
		if s.Committed {
			before, after = fmt.Sprint(s.Before), fmt.Sprint(s.After)
		}
		if s.Again() > 0 && s.Highest != consumer.NoSource {
			highest = fmt.Sprint(s.Highest)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%s\t%s\n", s.Partition, before, after, s.Again(), highest, s.Why)
	}
	return t.Flush()
}

// Total is how many offsets are consumed again.
func Total(steps []Step) (n int64) {
	for _, s := range steps {
		n += s.Again()
	}
	return n
}
