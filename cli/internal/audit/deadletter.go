package audit

import (
	"context"
	"fmt"
	"sort"

	"github.com/firstcome/firstcome/pkg/event"
)

// deadLetter is where a dead letter came from.
type deadLetter struct {
	topic     string
	partition int32
	offset    int64
	reason    event.Reason
}

func deadLetterOf(r event.Record) deadLetter {
	l, err := event.ReadDeadLetter(r)
	if err != nil {
		return deadLetter{partition: -1, offset: -1}
	}
	return deadLetter{l.Record.Topic, l.Record.Partition, l.Record.Offset, l.Reason}
}

// compareDeadLetters: each record that can't be read or does not belong has a dead letter (perhaps several: they are
// written at least once), and nothing else has one. One from the journal is an alarm of the ledger.
func (a *auditor) compareDeadLetters(ctx context.Context, looks []*look, out *findings, compared *Compared) error {
	has, err := bounds(ctx, a.client, a.dead, 0)
	if err != nil {
		return err
	}
	byPartition := make(map[int32]*look)
	for _, l := range looks {
		byPartition[l.partition] = l
	}
	letters := newStream(a.client, a.dead, 0, has.start, has.end, func(int64) {})
	defer letters.Close()
	said := make(map[deadLetter]bool)
	for {
		r, ok, err := letters.Record(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if !looksAt(a.Coupons, r.Key) {
			continue
		}
		compared.DeadLetters++
		letter := deadLetterOf(r)
		if said[letter] {
			continue
		}
		if sentence := a.judgeLetter(letter, byPartition[letter.partition]); sentence != "" {
			said[letter] = len(said) < maxKept
			out.add(Difference{Place: placeDeadLetters, Kind: letterKind(letter), Partition: letter.partition, Offset: letter.offset, Sentence: sentence})
		}
	}
	for _, l := range looks {
		l.missingLetters(out)
	}
	return nil
}

// judgeLetter says what is wrong with a dead letter; "" = nothing. Those of other partitions than the ones that were
// looked at, and of requests that were not, are left out.
func (a *auditor) judgeLetter(d deadLetter, l *look) string {
	switch {
	case d.topic == a.grants:
		return fmt.Sprintf("the ledger refused the journal record at journal offset %d of partition %d: %s", d.offset, d.partition, d.reason)
	case d.topic != a.requests || d.partition < 0 || int(d.partition) >= a.partitions:
		return fmt.Sprintf("there is one of topic %q, partition %d, offset %d: %s", d.topic, d.partition, d.offset, d.reason)
	case l == nil || d.offset < l.bound.LogStart || d.offset > l.bound.Progress:
		return ""
	}
	i := sort.Search(len(l.dead), func(i int) bool { return l.dead[i].offset >= d.offset })
	if i == len(l.dead) || l.dead[i].offset != d.offset {
		return fmt.Sprintf("the request at %d/%d is one (%s), and it is a good one", d.partition, d.offset, d.reason)
	}
	want := &l.dead[i]
	want.found = true
	if want.reason != d.reason {
		return fmt.Sprintf("the request at %d/%d is one for %s, and it should be for %s", d.partition, d.offset, d.reason, want.reason)
	}
	return ""
}

func letterKind(d deadLetter) Kind {
	if d.reason == event.ReasonUniqueViolation {
		return Twice
	}
	return Unfounded
}

func (l *look) missingLetters(out *findings) {
	for _, d := range l.dead {
		if !d.found {
			out.add(Difference{Place: placeDeadLetters, Kind: Missing, Partition: l.partition, Offset: d.offset,
				Sentence: fmt.Sprintf("the request at %d/%d (%s) is not among them", l.partition, d.offset, d.reason)})
		}
	}
}
