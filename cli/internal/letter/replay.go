package letter

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/firstcome/firstcome/cli/internal/printed"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// Replay sends what was refused once more, as new requests.
type Replay struct {
	Requests   string // full name of the requests topic
	Journal    string // and of the journal
	Partitions int    // of the requests topic
	Force      bool   // send also what the issuer would refuse again
	DryRun     bool   // send nothing, say what would be
	Producer   Publisher
	Out        io.Writer // a line an entry, as it happens
}

// Publisher appends records: a *producer.Producer.
type Publisher interface {
	PublishTo(ctx context.Context, partition int32, messages ...event.Message) ([]producer.Ack, error)
}

// Request is what a letter becomes.
type Request struct {
	Partition int32 // where its coupon belongs
	Message   event.Message
	What      string // in words
}

// Request gives the record as it came, less what the dead letter added, for the partition where its coupon belongs; or
// says why there is none to be sent. Unless forced, it takes only what the issuer would take: by the issuer's own code.
func (p Replay) Request(l event.Letter) (Request, error) {
	if err := p.whole(l); err != nil {
		return Request{}, err
	}
	r := Request{
		Partition: event.Partition(string(l.Record.Key), p.Partitions), What: "a record",
		Message: event.Message{Key: l.Record.Key, Value: l.Record.Value, Headers: l.Record.Headers},
	}
	q := partition.ReadRequest(event.Record{
		Topic: p.Requests, Partition: r.Partition, Key: r.Message.Key, Value: r.Message.Value, Headers: r.Message.Headers,
	}, p.Partitions)
	switch {
	case q.Refused != nil && !p.Force:
		return Request{}, fmt.Errorf("it would be refused again, as %s: %s; --force sends it all the same", q.Refused.Reason, printed.Clean(q.Refused.Detail))
	case q.Refused != nil:
		r.What = fmt.Sprintf("a record that will be refused as %s", q.Refused.Reason)
	case q.Definition != nil:
		r.What = "a definition of coupon " + q.CouponID
	default:
		r.What = "a claim for coupon " + q.CouponID
	}
	return r, nil
}

// whole says why a letter is no request, or not all of one.
func (p Replay) whole(l event.Letter) error {
	gone := ""
	switch {
	case l.Record.Topic == p.Journal && l.Reason == event.ReasonUniqueViolation:
		return errors.New("it is of the journal, which contradicts what the ledger has stored: an operator has to look at both")
	case l.Record.Topic == p.Journal:
		return errors.New("it is of the journal, which only issuers write: an operator has to look at it")
	case l.Record.Topic != p.Requests:
		return fmt.Errorf("it is of topic %s, and only requests can be asked again", printed.Clean(l.Record.Topic))
	case l.OfBatch():
		gone = "it stands for a batch that could not be read, of which it has only the beginning"
	case l.ValueBytes > 0:
		gone = fmt.Sprintf("its value was cut from %d bytes", l.ValueBytes)
	case l.KeyBytes > 0:
		gone = fmt.Sprintf("its key was cut from %d bytes", l.KeyBytes)
	case l.HeadersLeftOut > 0:
		gone = fmt.Sprintf("%d of its headers were left out", l.HeadersLeftOut)
	default:
		return nil
	}
	return fmt.Errorf("%s; the whole is only at %s/%d/%d, as long as that topic keeps it", gone, printed.Clean(l.Record.Topic), l.Record.Partition, l.Record.Offset)
}

// Tally is what became of those that were to be sent.
type Tally struct {
	Sent    int // in a dry run: that would be
	Refused int // not sent, each said why
	Unknown int // may have been sent
	Left    int // not tried, since sending failed
}

// All is true where everything was sent.
func (t Tally) All() bool { return t.Refused == 0 && t.Unknown == 0 && t.Left == 0 }

func (t Tally) String() string {
	text := fmt.Sprintf("%d sent, %d not", t.Sent, t.Refused)
	if t.Unknown > 0 {
		text += fmt.Sprintf(", %d unknown", t.Unknown)
	}
	if t.Left > 0 {
		text += fmt.Sprintf(", %d not tried", t.Left)
	}
	return text
}

// Run sends entries one after the other, each acknowledged before the next, and says of each what became of it. The first
// that no broker takes in time ends it.
func (p Replay) Run(ctx context.Context, box Box, entries []Entry) (Tally, error) {
	var t Tally
	err := box.Open(ctx, entries, func(e Entry, r event.Record) error { return p.one(ctx, &t, e, r) })
	t.Left = len(entries) - t.Sent - t.Refused - t.Unknown
	return t, err
}

func (p Replay) one(ctx context.Context, t *Tally, e Entry, r event.Record) error {
	l, err := event.ReadDeadLetter(r)
	var q Request
	if err == nil {
		q, err = p.Request(l)
	}
	if err != nil {
		t.Refused++
		p.say("%s: not sent: %v", e.Name(), err)
		return nil
	}
	if p.DryRun {
		t.Sent++
		p.say("%s: would be sent to %s/%d: %s", e.Name(), p.Requests, q.Partition, q.What)
		return nil
	}
	acks, err := p.Producer.PublishTo(ctx, q.Partition, q.Message)
	switch {
	case errors.Is(err, producer.ErrUnknownOutcome):
		t.Unknown++
		p.say("%s: it is not known whether it was sent to %s/%d: %s", e.Name(), p.Requests, q.Partition, q.What)
		return err
	case err != nil:
		t.Refused++
		p.say("%s: not sent: %v", e.Name(), err)
		if errors.Is(err, producer.ErrTooLarge) {
			return nil
		}
		return err
	}
	t.Sent++
	p.say("%s: sent to %s/%d/%d: %s", e.Name(), p.Requests, q.Partition, acks[0].Offset, q.What)
	return nil
}

func (p Replay) say(format string, args ...any) { fmt.Fprintf(p.Out, format+"\n", args...) }
