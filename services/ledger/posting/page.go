package posting

import (
	"errors"
	"fmt"

	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// page is what a run of the journal's records leads to.
type page struct {
	batch   Batch
	letters []Letter       // of records that cannot be read
	unknown map[string]int // records of types that this program does not know, by type
}

// read sorts a run of the journal. It decides by the records alone.
func read(from Place, b consumer.Batch) page {
	to := Place{Next: b.Next, HighestSource: b.HighestSource, Last: from.Last}
	p := page{batch: Batch{Partition: b.Partition, From: from, To: to}}
	for _, r := range b.Records {
		p.take(r)
		if r.Err == nil { // what cannot be read has no time to go by
			p.batch.To.Last = &Mark{Offset: r.Offset, Time: r.Time.UTC()}
		}
	}
	return p
}

func (p *page) take(r event.Record) {
	e, err := event.Decode(r)
	var bad *event.DecodeError
	switch {
	case err == nil:
	case !errors.As(err, &bad):
		p.reject(r, event.ReasonMalformed, err.Error())
		return
	case bad.Reason == event.ReasonUnknownType:
		// A newer issuer writes what this ledger has no table for; the journal keeps it.
		if p.unknown == nil {
			p.unknown = make(map[string]int)
		}
		p.unknown[e.Type]++
		return
	default:
		p.reject(r, bad.Reason, bad.Detail)
		return
	}
	switch data := e.Data.(type) {
	case event.CouponDefined:
		if p.belongs(r, *data.Source) {
			p.batch.Definitions = append(p.batch.Definitions, data)
		}
	case event.CouponGranted:
		if p.belongs(r, data.Source) {
			p.batch.Grants = append(p.batch.Grants, data)
		}
	}
}

// belongs refuses a record of another partition's: its source could not be compared with this one's highest.
func (p *page) belongs(r event.Record, s event.Source) bool {
	if s.Partition != r.Partition {
		p.reject(r, event.ReasonWrongPartition, fmt.Sprintf("its source is in partition %d", s.Partition))
		return false
	}
	return true
}

func (p *page) reject(r event.Record, reason event.Reason, detail string) {
	p.letters = append(p.letters, Letter{r, reason, detail})
}
