package ledger

import (
	"fmt"
	"sync"

	"github.com/firstcome/firstcome/internal/lifecycle"
)

// observer counts what the handler does, and keeps the list of what is waited for: a partition that cannot go on is there,
// with its reason.
type observer struct {
	*metrics
	journal string // full name
	waiting *lifecycle.Waiting

	mu    sync.Mutex
	stuck map[int32]func() // takes what a partition waits for off the list
}

func newObserver(m *metrics, journal string, waiting *lifecycle.Waiting) *observer {
	return &observer{metrics: m, journal: journal, waiting: waiting, stuck: make(map[int32]func())}
}

func (o *observer) Stuck(partition int32, why error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.stuck[partition]
	delete(o.stuck, partition)
	if why != nil {
		o.stuck[partition] = o.waiting.For(fmt.Sprintf("partition %d of %s: %v", partition, o.journal, why))
	}
	if before != nil {
		before() // after the new one is there: nobody sees the list empty in between
	}
}
