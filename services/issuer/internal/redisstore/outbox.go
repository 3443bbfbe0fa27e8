package redisstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// An element of the outbox is what one batch led to: all that is needed to make the journal records again, byte by byte.
//
//	element    = progress LF *( grants / definition )        progress: the one that the batch led to
//	grants     = "g" text(coupon id) text(window) n(limit) before ":" how many ":" *grant
//	grant      = offset ":" meta text(user id)
//	definition = "d" offset ":" meta text(coupon id) text(definition, as in the coupon's hash)
//	meta       = n(append time) n(log time - append time) text(correlation id) text(traceparent)
//
// n is an unsigned varint, text n(length) and so many bytes; before, how many and offset are decimal, since the script
// reads or writes them: it puts the pieces of the granted claims together and knows nothing else of this.

// encoder makes the pieces. Its memory is used again for each.
type encoder struct{ room []byte }

func (e *encoder) cut(from int) string {
	piece := string(e.room[from:])
	e.room = e.room[:from]
	return piece
}

func (e *encoder) header(g *partition.Group) string {
	from := len(e.room)
	e.room = appendText(append(e.room, 'g'), g.CouponID)
	e.room = appendText(e.room, g.Day)
	e.room = binary.AppendUvarint(e.room, uint64(g.Limit))
	return e.cut(from)
}

func (e *encoder) piece(c *partition.Claim) string {
	from := len(e.room)
	e.room = appendMeta(e.room, c.Offset, c.Time, c.LogTime, c.CorrelationID, c.TraceParent)
	e.room = binary.AppendUvarint(e.room, uint64(len(c.UserID))) // the script adds the user, which it has anyway
	return e.cut(from)
}

func definitionPiece(f fcfs.Fact) string {
	b := appendMeta([]byte{'d'}, f.Source.Offset, f.RequestedAt, f.LogTime, f.CorrelationID, f.TraceParent)
	b = appendText(b, f.Defined.CouponID)
	return string(appendText(b, redislayout.EncodeDefinition(*f.Defined)))
}

func appendMeta(b []byte, offset int64, t, logTime fcfs.Millis, correlationID, traceParent string) []byte {
	b = append(strconv.AppendInt(b, offset, 10), ':')
	b = binary.AppendUvarint(b, uint64(t))
	b = binary.AppendUvarint(b, uint64(logTime-t))
	return appendText(appendText(b, correlationID), traceParent)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func decodeElement(p int32, element string) (partition.Decided, error) {
	head, body, ok := strings.Cut(element, "\n")
	progress, err := redislayout.ParseProgress(head)
	if !ok || err != nil || progress.Offset < 0 {
		return partition.Decided{}, errElement
	}
	d := decoder{rest: body, partition: p}
	for d.rest != "" && !d.bad {
		d.facts()
	}
	if d.bad || len(d.all) == 0 {
		return partition.Decided{}, fmt.Errorf("%w, of progress %d", errElement, progress.Offset)
	}
	slices.SortFunc(d.all, func(a, b fcfs.Fact) int { return int(a.Source.Offset - b.Source.Offset) })
	return partition.Decided{Progress: progress, Facts: d.all}, nil
}

var errElement = errors.New("not an element of the outbox")

// decoder remembers that something was bad, so that it needs to be asked only once.
type decoder struct {
	rest      string
	partition int32
	all       []fcfs.Fact
	bad       bool
}

func (d *decoder) facts() {
	kind := d.rest[0]
	d.rest = d.rest[1:]
	switch kind {
	case 'g':
		d.grants()
	case 'd':
		f := d.meta()
		id, value := d.text(), d.text()
		definition, err := redislayout.DecodeDefinition(id, value)
		if err != nil {
			d.bad = true
			return
		}
		f.Defined = &definition
		d.all = append(d.all, f)
	default:
		d.bad = true
	}
}

func (d *decoder) grants() {
	g := fcfs.GrantFact{CouponID: d.text(), Window: d.text(), Limit: d.number()}
	g.Sequence = d.decimal()
	for n := d.decimal(); n > 0 && !d.bad; n-- {
		f, grant := d.meta(), g
		grant.UserID = d.text()
		g.Sequence++
		grant.Sequence = g.Sequence
		f.Granted = &grant
		d.all = append(d.all, f)
	}
}

func (d *decoder) meta() fcfs.Fact {
	f := fcfs.Fact{Source: fcfs.Source{Partition: d.partition, Offset: d.decimal()}}
	f.RequestedAt = fcfs.Millis(d.number())
	f.LogTime = f.RequestedAt + fcfs.Millis(d.number())
	f.CorrelationID, f.TraceParent = d.text(), d.text()
	return f
}

func (d *decoder) decimal() int64 {
	digits, rest, ok := strings.Cut(d.rest, ":")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 0 {
		d.bad, n, rest = true, 0, ""
	}
	d.rest = rest
	return n
}

func (d *decoder) number() int64 {
	n, size := uint64(0), 0
	for shift := 0; size < len(d.rest) && size < binary.MaxVarintLen64; shift += 7 {
		c := d.rest[size]
		size++
		n |= uint64(c&0x7f) << shift
		if c < 0x80 && n <= math.MaxInt64 {
			d.rest = d.rest[size:]
			return int64(n)
		}
	}
	d.bad, d.rest = true, ""
	return 0
}

func (d *decoder) text() string {
	n := d.number()
	if n > int64(len(d.rest)) {
		d.bad, d.rest = true, ""
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}
