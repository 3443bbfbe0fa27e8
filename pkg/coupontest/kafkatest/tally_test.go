package kafkatest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// tally is what callers were told of each of their records, to be compared
// with the log, record by record.
type tally struct {
	mu   sync.Mutex
	told map[string]map[int]outcome // by row and number
}

type outcome struct {
	ack   producer.Ack
	err   error
	times int
}

// taken notes a record of which its caller will be told.
func (l *tally) taken(row string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told == nil {
		l.told = make(map[string]map[int]outcome)
	}
	if l.told[row] == nil {
		l.told[row] = make(map[int]outcome)
	}
	l.told[row][n] = outcome{}
}

func (l *tally) tell(row string, n int, ack producer.Ack, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told[row][n] = outcome{ack, err, l.told[row][n].times + 1}
}

// done is for Send.
func (l *tally) done(row string, n int) func(producer.Ack, error) {
	return func(ack producer.Ack, err error) { l.tell(row, n, ack, err) }
}

// counts are how many records ended how.
type counts struct{ acknowledged, refused, unknown, unknownInLog int }

// check reads the topic and compares: what was acknowledged stands once, where
// that was said; what was refused, nowhere; what is unknown, once or not at
// all; nothing else, and each row in order.
func (l *tally) check(t *testing.T, p place, partitions int) counts {
	t.Helper()
	inLog := l.inLog(t, p, partitions)
	l.mu.Lock()
	defer l.mu.Unlock()
	var c counts
	for row, told := range l.told {
		for n, o := range told {
			times := inLog[row][n]
			delete(inLog[row], n)
			switch {
			case o.times != 1:
				t.Errorf("%s, %d: its caller was told %d times", row, n, o.times)
			case o.err == nil:
				c.acknowledged++
				if len(times) != 1 || times[0].Partition != o.ack.Partition || times[0].Offset != o.ack.Offset {
					t.Errorf("%s, %d: acknowledged at %+v, and in the log at %v", row, n, o.ack, places(times))
				} else {
					p.checkTime(t, o.ack, times[0])
				}
			case errors.Is(o.err, producer.ErrUnknownOutcome):
				c.unknown++
				c.unknownInLog += len(times)
				if len(times) > 1 {
					t.Errorf("%s, %d: unknown, and in the log at %v", row, n, places(times))
				}
			case errors.Is(o.err, producer.ErrUnavailable), errors.Is(o.err, producer.ErrClosed), errors.Is(o.err, producer.ErrTooLarge):
				c.refused++
				if len(times) > 0 {
					t.Errorf("%s, %d: %v, and in the log at %v", row, n, o.err, places(times))
				}
			default:
				t.Errorf("%s, %d: an error of no kind: %v", row, n, o.err)
			}
		}
		if len(inLog[row]) > 0 {
			t.Errorf("%s: %d records in the log that nobody was told of", row, len(inLog[row]))
		}
	}
	return c
}

// inLog are all records by row and number; it finds rows that are out of order.
func (l *tally) inLog(t *testing.T, p place, partitions int) map[string]map[int][]event.Record {
	t.Helper()
	found := make(map[string]map[int][]event.Record)
	last := make(map[string]int)
	for partition := range int32(partitions) {
		for _, r := range p.all(t, partition) {
			row := header(r, "row")
			n, err := strconv.Atoi(header(r, "n"))
			if err != nil {
				t.Fatal(err)
			}
			if found[row] == nil {
				found[row] = make(map[int][]event.Record)
				last[row] = -1
			}
			if n <= last[row] {
				t.Errorf("%s: %d comes after %d", row, n, last[row])
			}
			last[row] = n
			found[row][n] = append(found[row][n], r)
		}
	}
	return found
}

func places(records []event.Record) (all []string) {
	for _, r := range records {
		all = append(all, fmt.Sprintf("%d/%d", r.Partition, r.Offset))
	}
	return all
}

func (c counts) String() string {
	return fmt.Sprintf("%d acknowledged, %d refused, %d unknown of which %d are in the log", c.acknowledged, c.refused, c.unknown, c.unknownInLog)
}
