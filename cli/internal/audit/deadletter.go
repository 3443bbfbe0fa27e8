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

func deadLetterOf(l event.Letter) deadLetter {
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
		l, err := event.ReadDeadLetter(r)
		if err != nil {
			out.add(Difference{Place: placeDeadLetters, Kind: Unfounded, Partition: -1, Offset: -1, Sentence: fmt.Sprintf("the record at offset %d is %v", r.Offset, err)})
			continue
		}
		letter := deadLetterOf(l)
		if said[letter] {
			continue
		}
		if kind, sentence := a.judgeLetter(letter, byPartition[letter.partition]); sentence != "" {
			if len(said) < maxKept {
				said[letter] = true
			}
			out.add(Difference{Place: placeDeadLetters, Kind: kind, Partition: letter.partition, Offset: letter.offset, Sentence: sentence})
		}
	}
	for _, l := range looks {
		l.missingLetters(out)
	}
	return nil
}

// judgeLetter says what is wrong with a dead letter; "" = nothing. Those of other partitions than the ones that were
// looked at, and of requests that were not, are left out.
func (a *auditor) judgeLetter(d deadLetter, l *look) (Kind, string) {
	switch {
	case d.topic == a.grants:
		kind := Unfounded
		if d.reason == event.ReasonUniqueViolation {
			kind = Twice
		}
		return kind, fmt.Sprintf("the ledger refused the journal record at journal offset %d of partition %d: %s", d.offset, d.partition, d.reason)
	case d.topic != a.requests || d.partition < 0 || int(d.partition) >= a.partitions:
		return Unfounded, fmt.Sprintf("there is one of topic %q, partition %d, offset %d: %s", d.topic, d.partition, d.offset, d.reason)
	case l == nil || d.offset < l.bound.LogStart || d.offset > l.bound.Progress:
		return "", ""
	}
	i := sort.Search(len(l.dead), func(i int) bool { return l.dead[i].offset >= d.offset })
	if i == len(l.dead) || l.dead[i].offset != d.offset {
		return Unfounded, fmt.Sprintf("the request at %d/%d is one (%s), and it is a good one", d.partition, d.offset, d.reason)
	}
	want := &l.dead[i]
	want.found = true
	if want.reason != d.reason {
		return Wrong, fmt.Sprintf("the request at %d/%d is one for %s, and it should be for %s", d.partition, d.offset, d.reason, want.reason)
	}
	return "", ""
}

func (l *look) missingLetters(out *findings) {
	for _, d := range l.dead {
		if !d.found {
			out.add(Difference{Place: placeDeadLetters, Kind: Missing, Partition: l.partition, Offset: d.offset,
				Sentence: fmt.Sprintf("the request at %d/%d (%s) is not among them", l.partition, d.offset, d.reason)})
		}
	}
}
