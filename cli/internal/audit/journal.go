package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// read hands over the records of a partition from one offset up to before another.
func read(ctx context.Context, client *broker.Client, topic string, partition int32, from, to int64, take func(event.Record)) error {
	f := consumer.NewFetcher(client, topic, partition, consumer.FetchConfig{MaxBytes: 4 << 20})
	defer f.Close()
	for from < to {
		got, err := f.Fetch(ctx, from)
		if err != nil {
			return err
		}
		for _, r := range got.Records {
			if r.Offset >= to {
				return nil
			}
			take(r)
		}
		if got.Next == from && len(got.Records) == 0 && got.End < to {
			return fmt.Errorf("partition %d of topic %s ends at %d, and a moment ago it had records up to %d", partition, topic, got.End, to)
		}
		from = got.Next
	}
	return nil
}

// patience is how long a broker may be away: one that restarts, or a leader that moves, is no difference.
const patience = 15 * time.Second

func patiently[T any](ctx context.Context, try func(context.Context) (T, error)) (T, error) {
	deadline := time.Now().Add(patience)
	var retry broker.Backoff
	for {
		got, err := try(ctx)
		if err == nil || !broker.Retriable(err) || errors.Is(err, broker.ErrNoTopic) || time.Now().After(deadline) {
			return got, err
		}
		if err := retry.Wait(ctx); err != nil {
			return got, err
		}
	}
}

type span struct{ start, end int64 }

func bounds(ctx context.Context, client *broker.Client, topic string, partition int32) (span, error) {
	return patiently(ctx, func(ctx context.Context) (s span, err error) {
		s.start, s.end, err = client.Bounds(ctx, topic, partition)
		return s, err
	})
}

func partitions(ctx context.Context, client *broker.Client, topic string) (int, error) {
	return patiently(ctx, func(ctx context.Context) (int, error) { return client.Partitions(ctx, topic) })
}

// journalState is what a partition of the journal holds, as a consumer that drops duplicates sees it.
type journalState struct {
	partition  int32
	start, end int64
	records    []journalRecord // in order, unreadable ones left out
	facts      facts           // without duplicates
	at         map[int64]int   // source offset → index of its first record
	duplicates int
	bad        []Difference
}

type journalRecord struct {
	record event.Record
	source int64
	fresh  bool // not a duplicate
}

// take adds one record. As a consumer does, it drops a source that is not above the highest seen.
func (j *journalState) take(r event.Record) {
	e, err := event.Decode(r)
	fact, ok := factOf(e)
	switch {
	case err != nil:
		j.bad = append(j.bad, inPartition(placeJournal, j.partition, "the record at journal offset %d cannot be read: %v", r.Offset, err))
		return
	case !ok || fact.Source.Partition != j.partition:
		j.bad = append(j.bad, inPartition(placeJournal, j.partition, "the record at journal offset %d (%s) does not come from a request of this partition", r.Offset, e.Type))
		return
	}
	source := fact.Source.Offset
	fresh := source > j.highest()
	if fresh {
		j.facts[source], j.at[source] = fact, len(j.records)
	} else {
		j.duplicates++
	}
	j.records = append(j.records, journalRecord{r, source, fresh})
}

func (j *journalState) highest() int64 { return j.highestBelow(1<<63 - 1) }

// highestBelow is the highest source among the records below a journal offset, -1 where there is none.
func (j *journalState) highestBelow(next int64) int64 {
	highest := int64(-1)
	for i := len(j.records) - 1; i >= 0; i-- {
		if r := j.records[i]; r.fresh && r.record.Offset < next {
			return r.source
		}
	}
	return highest
}

// nextAfter is the journal offset behind the last record that comes from a source up to a given one.
func (j *journalState) nextAfter(upTo int64) int64 {
	for i := len(j.records) - 1; i >= 0; i-- {
		if r := j.records[i]; r.source <= upTo {
			return r.record.Offset + 1
		}
	}
	return 0
}

func readJournal(ctx context.Context, client *broker.Client, topic string, partition int32) (journalState, error) {
	has, err := bounds(ctx, client, topic, partition)
	if err != nil {
		return journalState{}, err
	}
	start := has.start
	j := journalState{partition: partition, start: start, end: has.end, facts: facts{}, at: map[int64]int{}}
	if start > 0 {
		j.bad = append(j.bad, inPartition(placeJournal, partition, "it begins at offset %d: the journal must be kept for ever, and what was before is gone", start))
	}
	err = read(ctx, client, topic, partition, start, has.end, j.take)
	return j, err
}

// compareJournal compares what consumers of the journal see with what the log leads to, up to a source, and every single
// record, duplicates too, with the bytes it must have.
func compareJournal(requestsTopic string, want facts, j journalState, upTo int64) []Difference {
	seen := make(facts)
	for offset, f := range j.facts {
		if offset <= upTo {
			seen[offset] = f
		}
	}
	out := append([]Difference(nil), j.bad...)
	differs := compareFacts(placeJournal, want, seen)
	named := make(map[int64]bool)
	for _, d := range differs {
		named[d.Offset] = true
	}
	out = append(out, differs...)
	for _, r := range j.records {
		if r.source > upTo || named[r.source] {
			continue
		}
		if d, wrong := r.compare(requestsTopic, want); wrong {
			out = append(out, d)
		}
	}
	return out
}

func (r journalRecord) compare(requestsTopic string, want facts) (Difference, bool) {
	fact, ok := want[r.source]
	if !ok {
		return inPartition(placeJournal, r.record.Partition, "the duplicate at journal offset %d says it comes from offset %d, and the log leads to nothing there", r.record.Offset, r.source), true
	}
	msg, err := message(requestsTopic, fact)
	if err != nil {
		return about(placeJournal, fact, "%s cannot be written: %v", name(fact), err), true
	}
	if how := bytesDiffer(msg, r.record); how != "" {
		return about(placeJournal, fact, "%s is not written as it must be at journal offset %d: %s", name(fact), r.record.Offset, how), true
	}
	return Difference{}, false
}

var errNoTopics = errors.New("the topics are not there: `firstcome topics create` makes them")
