package audit

import (
	"context"
	"sort"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
)

// originals finds the journal record that a duplicate repeats. Sources grow along the journal once duplicates are dropped,
// so it is enough to remember every thousandth place, 16 bytes each, and to read a thousand records once more. A late
// batch of a former owner is in order: it needs each thousand once.
type originals struct {
	client    *broker.Client
	topic     string
	partition int32

	marks []mark
	count int

	block int // that is in memory, if any is
	read  []journalRecord
}

// mark is the first record of a block.
type mark struct{ source, offset int64 }

const blockRecords = 1024

// mark is told of each record that is no duplicate.
func (o *originals) mark(source, offset int64) {
	if o.count%blockRecords == 0 {
		o.marks = append(o.marks, mark{source, offset})
	}
	o.count++
}

// find gives the record of a source among those before a journal offset that are no duplicates.
func (o *originals) find(ctx context.Context, source, before int64) (event.Record, bool, error) {
	block := sort.Search(len(o.marks), func(i int) bool { return o.marks[i].source > source }) - 1
	if block < 0 {
		return event.Record{}, false, nil
	}
	if len(o.read) == 0 || o.block != block || o.read[len(o.read)-1].source < source {
		if err := o.load(ctx, block, before); err != nil {
			return event.Record{}, false, err
		}
	}
	i := sort.Search(len(o.read), func(i int) bool { return o.read[i].source >= source })
	if i == len(o.read) || o.read[i].source != source {
		return event.Record{}, false, nil
	}
	return o.read[i].Record, true, nil
}

func (o *originals) load(ctx context.Context, block int, before int64) error {
	end := before
	if block+1 < len(o.marks) {
		end = o.marks[block+1].offset
	}
	records := newStream(o.client, o.topic, o.partition, o.marks[block].offset, end, func(int64) {})
	defer records.Close()
	o.block, o.read = block, o.read[:0]
	highest := o.marks[block].source - 1
	for {
		r, ok, err := records.Record(ctx)
		if err != nil || !ok {
			return err
		}
		if source, ok := event.SourceOf(r); ok && r.Err == nil && source.Partition == o.partition && source.Offset > highest {
			highest = source.Offset
			o.read = append(o.read, journalRecord{r, source.Offset})
		}
	}
}
