package audit

import (
	"context"
	"fmt"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
)

// deadLetter is where a dead letter came from.
type deadLetter struct {
	topic     string
	partition int32
	offset    int64
	reason    event.Reason
}

func readDeadLetters(ctx context.Context, client *broker.Client, topic string) ([]deadLetter, error) {
	has, err := bounds(ctx, client, topic, 0)
	if err != nil {
		return nil, err
	}
	var all []deadLetter
	err = read(ctx, client, topic, 0, has.start, has.end, func(r event.Record) { all = append(all, deadLetterOf(r)) })
	return all, err
}

func deadLetterOf(r event.Record) deadLetter {
	l, err := event.ReadDeadLetter(r)
	if err != nil {
		return deadLetter{partition: -1, offset: -1}
	}
	return deadLetter{l.Record.Topic, l.Record.Partition, l.Record.Offset, l.Reason}
}

type place struct {
	partition int32
	offset    int64
}

// compareDeadLetters: each record that can't be read or does not belong has a dead letter (perhaps several: they are
// written at least once), and nothing else has one. One from the journal is an alarm of the ledger.
func compareDeadLetters(requestsTopic string, looks []look, letters []deadLetter) []Difference {
	var out []Difference
	found := make(map[place]bool)
	for _, d := range letters {
		if d.topic != requestsTopic || d.partition < 0 || int(d.partition) >= len(looks) {
			out = append(out, Difference{Place: placeDeadLetters, Partition: d.partition, Offset: d.offset,
				Sentence: fmt.Sprintf("there is one of topic %q, partition %d, offset %d: %s", d.topic, d.partition, d.offset, d.reason)})
			continue
		}
		at := place{d.partition, d.offset}
		l := looks[d.partition]
		if l.oracle == nil || d.offset < l.start || d.offset > l.oracle.last || found[at] {
			continue
		}
		found[at] = true
		if want, ok := l.oracle.dead[d.offset]; !ok || want.reason != d.reason {
			out = append(out, Difference{Place: placeDeadLetters, Partition: d.partition, Offset: d.offset, Sentence: wrongLetter(d, want, ok)})
		}
	}
	return append(out, missingLetters(looks, found)...)
}

func wrongLetter(d deadLetter, want invalid, dead bool) string {
	if !dead {
		return fmt.Sprintf("the request at %d/%d is one (%s), and it is a good one", d.partition, d.offset, d.reason)
	}
	return fmt.Sprintf("the request at %d/%d is one for %s, and it should be for %s", d.partition, d.offset, d.reason, want.reason)
}

func missingLetters(looks []look, found map[place]bool) []Difference {
	var out []Difference
	for p, l := range looks {
		if l.oracle == nil {
			continue
		}
		for offset, dead := range l.oracle.dead {
			if !found[place{int32(p), offset}] {
				out = append(out, Difference{Place: placeDeadLetters, Partition: int32(p), Offset: offset,
					Sentence: fmt.Sprintf("the request at %d/%d (%s) is not among them", p, offset, dead.reason)})
			}
		}
	}
	return out
}
