package consumer

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
)

// What a newer version may say besides stands after a space.
const highestPrefix = "source="

// OffsetMetadata is the text that Run commits beside a group's offset: the
// highest source of all records before it, NoSource where there is none. Tools
// that move a group's offset must write it too, or duplicates get through.
func OffsetMetadata(highest int64) string {
	if highest == NoSource {
		return ""
	}
	return highestPrefix + strconv.FormatInt(highest, 10)
}

// parseHighest takes what others have committed for none.
func parseHighest(metadata string) int64 {
	digits, ok := strings.CutPrefix(metadata, highestPrefix)
	if !ok {
		return NoSource
	}
	digits, _, _ = strings.Cut(digits, " ")
	highest, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || highest < 0 {
		return NoSource
	}
	return highest
}

// commit moves the group's offset. Failing is no harm: the next one covers it.
func (w *worker) commit(ctx context.Context) {
	w.lastTime = time.Now()
	if w.committed == w.next {
		return
	}
	if err := w.records.Commit(ctx, w.next, OffsetMetadata(w.highest)); err != nil {
		if ctx.Err() == nil && !errors.Is(err, broker.ErrFenced) { // the group tells that itself
			w.log.Warn("committing the group's offset failed", "error", err, "offset", w.next)
		}
		return
	}
	w.committed = w.next
}

// commitLast is for the next owner: without it, that one would handle the last
// second's records again. The group waits for it, so it must not take long.
func (w *worker) commitLast() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	w.commit(ctx)
}
