package ledger

import (
	"bufio"
	"encoding/json"
	"io"

	"github.com/firstcome/firstcome/pkg/event"
)

var ndjsonFile = file{".ndjson", "application/x-ndjson", newNDJSON}

// ndjson has a grant a line, with the members that it has everywhere.
type ndjson struct {
	buffer  *bufio.Writer
	encoder *json.Encoder
}

func newNDJSON(w io.Writer) rowWriter {
	buffer := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	return ndjson{buffer, encoder}
}

func (n ndjson) Row(g event.CouponGranted) error { return n.encoder.Encode(bodyOf(g)) }
func (n ndjson) Flush() error                    { return n.buffer.Flush() }
