package redislayout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/firstcome/firstcome/internal/fcfs"
)

const outcomesVersion = 1

// Outcomes tells the waiters what a batch decided. A lost message costs only time: gateways look at progress too.
//
// As bytes: the version (1); First and then Last − First as unsigned varints; an outcome byte for each offset; the
// sequences as unsigned varints.
type Outcomes struct {
	First, Last int64
	Outcomes    []fcfs.Outcome // one for each offset from First to Last; None where the log has no record
	Sequences   []int64        // one for each Granted, in order
}

// Encode panics where the lengths do not fit together, or an outcome or a sequence is none.
func (o Outcomes) Encode() []byte {
	granted := 0
	for _, out := range o.Outcomes {
		if out == fcfs.Granted {
			granted++
		}
	}
	if o.First < 0 || o.Last < o.First || int64(len(o.Outcomes)) != o.Last-o.First+1 || granted != len(o.Sequences) {
		panic(fmt.Sprintf("redislayout: offsets %d to %d with %d outcomes, %d grants with %d sequences",
			o.First, o.Last, len(o.Outcomes), granted, len(o.Sequences)))
	}
	b := make([]byte, 0, 1+2*binary.MaxVarintLen64+len(o.Outcomes)+5*granted)
	b = append(b, outcomesVersion)
	b = binary.AppendUvarint(b, uint64(o.First))
	b = binary.AppendUvarint(b, uint64(o.Last-o.First))
	for _, out := range o.Outcomes {
		if !out.Valid() {
			panic(fmt.Sprintf("redislayout: outcome %d", out))
		}
		b = append(b, byte(out))
	}
	for _, s := range o.Sequences {
		if s < 1 {
			panic(fmt.Sprintf("redislayout: sequence %d", s))
		}
		b = binary.AppendUvarint(b, uint64(s))
	}
	return b
}

// All gives each offset that the log has a record at, with what was decided. The sequence is 0 unless granted.
func (o Outcomes) All() iter.Seq2[int64, Decided] {
	return func(yield func(int64, Decided) bool) {
		next := 0
		for i, out := range o.Outcomes {
			decided := Decided{Outcome: out}
			switch out {
			case fcfs.None:
				continue
			case fcfs.Granted:
				decided.Sequence = o.Sequences[next]
				next++
			}
			if !yield(o.First+int64(i), decided) {
				return
			}
		}
	}
}

// Decided is one element of Outcomes.
type Decided struct {
	Outcome  fcfs.Outcome
	Sequence int64
}

var errOutcomes = errors.New("not a message of the outcomes channel")

// DecodeOutcomes is the inverse of Encode. It takes only what Encode can have made, and never more memory than a small
// multiple of the message.
func DecodeOutcomes(message []byte) (Outcomes, error) {
	r := reader{rest: message}
	version := r.byte()
	if r.bad || version != outcomesVersion {
		return Outcomes{}, fmt.Errorf("%w: version %d", errOutcomes, version)
	}
	first, span := r.number(), r.number()
	if r.bad || first > math.MaxInt64-span || span >= int64(len(r.rest)) {
		return Outcomes{}, fmt.Errorf("%w: cut short", errOutcomes)
	}
	o := Outcomes{First: first, Last: first + span, Outcomes: make([]fcfs.Outcome, span+1)}
	granted := 0
	for i := range o.Outcomes {
		o.Outcomes[i] = fcfs.Outcome(r.byte())
		if !o.Outcomes[i].Valid() {
			return Outcomes{}, fmt.Errorf("%w: outcome %d", errOutcomes, o.Outcomes[i])
		}
		if o.Outcomes[i] == fcfs.Granted {
			granted++
		}
	}
	if granted > 0 {
		o.Sequences = make([]int64, granted)
	}
	for i := range o.Sequences {
		if o.Sequences[i] = r.number(); o.Sequences[i] == 0 {
			r.bad = true
		}
	}
	if r.bad || len(r.rest) > 0 {
		return Outcomes{}, fmt.Errorf("%w: its sequences are not those of its grants", errOutcomes)
	}
	return o, nil
}

// reader remembers that something was bad, so that it needs to be asked only once.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.bad = true
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// number takes the shortest form only, so that one message has one encoding.
func (r *reader) number() int64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > math.MaxInt64 || n > 1 && r.rest[n-1] == 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return int64(v)
}
