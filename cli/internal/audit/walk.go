package audit

import (
	"context"
	"fmt"
)

// walk decides the log up to an offset and compares journal and Postgres on the way.
func (l *look) walk(ctx context.Context, upTo int64) (*oracle, error) {
	w, err := l.newWalk(ctx, upTo)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if err := w.seed(ctx); err != nil {
		return nil, err
	}
	for {
		r, ok, err := w.log.Record(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		d := w.o.take(r)
		if err := w.meet(ctx, &d); err != nil {
			return nil, err
		}
	}
	return w.o, w.finish(ctx)
}

// walk is a walk along the log.
type walk struct {
	*look
	o       *oracle
	log     *stream
	journal *journal
	ledger  *ledger
	told    *told // nil where nothing is known of what people were told
}

func (l *look) newWalk(ctx context.Context, upTo int64) (*walk, error) {
	log, err := bounds(ctx, l.client, l.requests, l.partition)
	if err != nil {
		return nil, err
	}
	has, err := bounds(ctx, l.client, l.grants, l.partition)
	if err != nil {
		return nil, err
	}
	l.compared.Partitions = 1
	if log.start > 0 {
		l.compared.Truncated = 1
	}
	l.bound.LogStart, l.bound.Progress = log.start, upTo
	if upTo >= log.end {
		l.add(inPartition(placeRedis, Wrong, l.partition, "progress is at offset %d, and the log ends at %d: this is another log", upTo, log.end))
	}
	if has.start > 0 {
		l.add(inPartition(placeJournal, Missing, l.partition, "it begins at offset %d: the journal must be kept for ever, and what was before is gone", has.start))
	}
	archives, err := l.readArchives(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading Postgres: %w", err)
	}
	w := &walk{look: l, o: newOracle(l.partition, l.partitions, l.Coupons), ledger: &ledger{look: l, through: -1, archives: archives}}
	w.log = newStream(l.client, l.requests, l.partition, log.start, min(upTo+1, log.end), l.passed)
	w.journal = newJournal(l, has)
	if w.told, err = l.Answers.of(l, log.start == 0); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func (w *walk) Close() {
	w.log.Close()
	w.journal.stream.Close()
}

// seed takes the journal's facts of requests that the log no longer has.
func (w *walk) seed(ctx context.Context) error {
	for {
		r, err := w.journal.peek(ctx)
		if err != nil || r == nil || r.source >= w.bound.LogStart {
			return err
		}
		f, err := readFact(r.Record)
		if err != nil || !w.looksAt(r.Key) {
			w.journal.ahead = nil
			w.journal.extra(*r, nil)
			continue
		}
		d, err := w.o.seed(f)
		if err != nil {
			w.journal.ahead = nil
			w.add(about(placeJournal, Wrong, f, "%s does not follow from the journal before it: %v", name(f), err))
			continue
		}
		if err := w.meet(ctx, &d); err != nil {
			return err
		}
	}
}

func (w *walk) meet(ctx context.Context, d *decision) error {
	if f := d.fact; f != nil && f.Granted != nil {
		w.compared.Grants++
	} else if f != nil {
		w.compared.Definitions++
	}
	if w.told != nil {
		w.told.take(d, w.o)
	}
	if err := w.journal.meet(ctx, d); err != nil {
		return err
	}
	return w.ledger.meet(ctx, d, w.journal.next())
}

func (w *walk) finish(ctx context.Context) error {
	w.compared.Requests = w.o.records
	progress := w.bound.Progress
	if err := w.journal.finish(ctx, progress); err != nil {
		return err
	}
	if err := w.ledger.finish(ctx, progress, w.journal); err != nil {
		return err
	}
	w.bound.Journal = w.journal.stream.Position()
	if w.journal.highest >= 0 {
		w.tops = append(w.tops, Difference{Place: placeJournal, Kind: Unfounded, Partition: w.partition, Offset: w.journal.highest,
			Sentence: fmt.Sprintf("there is a record that comes from source %d/%d", w.partition, w.journal.highest)})
	}
	if w.told == nil || w.short {
		return nil
	}
	return w.told.judge(w.o)
}
