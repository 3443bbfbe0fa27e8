package audit

import (
	"fmt"
	"strings"

	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/internal/redislayout"
)

// compareOutbox looks at where the elements stand: each begins with the progress that its batch led to, in order and not
// beyond Redis' own. What is in them is the issuer's own business until it stands in the journal, and is compared there.
func compareOutbox(partition int32, state redisState) []Difference {
	var out []Difference
	before := int64(-1)
	for i, element := range state.outbox {
		head, _, _ := strings.Cut(element, "\n")
		at, err := redislayout.ParseProgress(head)
		switch {
		case err != nil:
			out = append(out, inPartition(placeRedis, partition, "element %d of the outbox is none", i))
		case at.Offset <= before:
			out = append(out, inPartition(placeRedis, partition, "element %d of the outbox is of offset %d, after one of offset %d", i, at.Offset, before))
		case at.Offset > state.progress.Offset:
			out = append(out, inPartition(placeRedis, partition, "element %d of the outbox is of offset %d, and progress is at %d", i, at.Offset, state.progress.Offset))
		}
		before = at.Offset
	}
	return out
}

// unemitted says what is decided and not yet in the journal, "" where nothing is. As long as the outbox has something the
// issuer is about to write it; with an empty one it is missing for good, which the journal's comparison names.
func unemitted(o *oracle, journal journalState, state redisState) string {
	missing := 0
	for offset := range o.facts {
		if _, ok := journal.facts[offset]; !ok {
			missing++
		}
	}
	if missing == 0 || len(state.outbox) == 0 {
		return ""
	}
	return fmt.Sprintf("the issuer has %s decided facts that are not in the journal", crowd.Grouped(int64(missing)))
}
