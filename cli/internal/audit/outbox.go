package audit

import (
	"fmt"

	"github.com/firstcome/firstcome/cli/internal/crowd"
)

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
