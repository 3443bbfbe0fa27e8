package event

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Letter is a dead letter that was read: the record that was refused, and why.
type Letter struct {
	// Record is the refused one: where it was and when, and its key, value and headers as far as they were kept. They
	// point into the dead letter. LogAppendTime is not known, headers named fc_ are lost.
	Record Record
	Reason Reason
	Detail string

	// What the record had and the letter has only the beginning of; 0: it has all.
	ValueBytes     int // length of the value in the record, where its first 512 KiB are left
	KeyBytes       int // length of the key in the record, where its first 64 KiB are left
	HeadersLeftOut int
}

// OfBatch tells whether the letter stands for a batch that could not be read: its value is the beginning of the batch as it
// was in the log, whatever records there are in it. Such a batch has no headers, and a single record without headers is
// never called malformed or too_large.
func (l Letter) OfBatch() bool {
	unread := l.Reason == ReasonTooLarge || l.Reason == ReasonMalformed
	return l.Record.LastOffset > l.Record.Offset || unread && len(l.Record.Headers)+l.HeadersLeftOut == 0
}

// ReadDeadLetter reads what DeadLetter made. The error says why the record is none: any that is written into the topic by
// somebody else.
func ReadDeadLetter(r Record) (Letter, error) {
	if r.Err != nil {
		return Letter{}, fmt.Errorf("no dead letter: %w", r.Err)
	}
	about, headers, err := splitDead(r.Headers)
	if err != nil {
		return Letter{}, fmt.Errorf("no dead letter: %w", err)
	}
	partition, okPartition := number(about["partition"], math.MaxInt32)
	offset, okOffset := number(about["offset"], math.MaxInt64)
	at, okTime := readDeadTime(about["time"])
	for _, must := range []struct {
		name string
		ok   bool
	}{{"topic", about["topic"] != ""}, {"partition", okPartition}, {"offset", okOffset}, {"time", okTime}, {"reason", about["reason"] != ""}} {
		if !must.ok {
			return Letter{}, fmt.Errorf("no dead letter: header %s%s is %.100q", deadPrefix, must.name, about[must.name])
		}
	}
	l := Letter{Reason: Reason(about["reason"]), Detail: about["detail"]}
	l.Record = Record{Topic: about["topic"], Partition: int32(partition), Offset: offset, LastOffset: offset, Time: at, Key: r.Key, Value: r.Value, Headers: headers}
	l.readNotes()
	return l, nil
}

// splitDead tells the headers that a dead letter adds, by their names without fc_, from those of the record.
func splitDead(headers []Header) (about map[string]string, rest []Header, err error) {
	about = make(map[string]string)
	for _, h := range headers {
		name, added := strings.CutPrefix(h.Key, deadPrefix)
		if !added {
			rest = append(rest, h)
			continue
		}
		if _, twice := about[name]; twice {
			return nil, nil, fmt.Errorf("header %.100q stands twice", h.Key)
		}
		about[name] = string(h.Value)
	}
	if len(about) == 0 {
		return nil, nil, errors.New("it has no headers " + deadPrefix)
	}
	return about, rest, nil
}

// readNotes takes out of the detail what DeadLetter put in front of it, in that order.
func (l *Letter) readNotes() {
	note := func(before, after string, above, most int64) int64 {
		text, rest, more := strings.Cut(l.Detail, "; ")
		text, begins := strings.CutPrefix(text, before)
		text, ends := strings.CutSuffix(text, after)
		n, ok := number(text, most)
		if !more || !begins || !ends || !ok || n <= above {
			return 0
		}
		l.Detail = rest
		return n
	}
	if last := note(noteLast, "", l.Record.Offset, math.MaxInt64); last > 0 {
		l.Record.LastOffset = last
	}
	if len(l.Record.Value) == deadValue {
		l.ValueBytes = int(note(noteValue, noteBytes, deadValue, math.MaxInt32))
	}
	if len(l.Record.Key) == deadKey {
		l.KeyBytes = int(note(noteKey, noteBytes, deadKey, math.MaxInt32))
	}
	l.HeadersLeftOut = int(note("", noteHeaders, 0, math.MaxInt32))
}

// number reads what strconv writes, and nothing else: no sign, no zeroes in front.
func number(text string, most int64) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0 && n <= most && strconv.FormatInt(n, 10) == text
}

func readDeadTime(text string) (time.Time, bool) {
	if t, ok := parseTime(text); ok {
		return t, true
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	return time.UnixMilli(ms).UTC(), err == nil
}
