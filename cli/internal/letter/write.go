package letter

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/firstcome/firstcome/cli/internal/printed"
	"github.com/firstcome/firstcome/pkg/event"
)

// WriteTable prints a line an entry: nothing of its value, which names a person.
func WriteTable(w io.Writer, entries []Entry) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "OFFSET\tFROM\tTIME\tREASON\tCOUPON\tBYTES\tCOPIES\tDETAIL")
	for _, e := range entries {
		at, coupon := e.Time.UTC().Format(printed.TimeLayout), e.CouponID
		if coupon == "" {
			coupon = "-"
		}
		if e.Problem != nil {
			fmt.Fprintf(t, "%d\t-\t%s\t-\t-\t%d\t1\t%s\n", e.Offset(), at, e.Bytes, printed.Clean(e.Problem.Error()))
			continue
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", e.Offset(), e.Place(), at, printed.Clean(string(e.Reason)), coupon, e.Bytes, len(e.Copies), printed.Clean(e.Detail))
	}
	return t.Flush()
}

// WriteWhole prints everything that an entry's newest copy holds.
func WriteWhole(w io.Writer, e Entry, r event.Record) error {
	l, err := event.ReadDeadLetter(r)
	if err != nil {
		l = event.Letter{Record: r}
		fmt.Fprintf(w, "%s, %s: %s\n", e.Name(), e.Time.UTC().Format(printed.TimeLayout), printed.Clean(err.Error()))
	} else {
		fmt.Fprintf(w, "%s, %s: %s\n", e.Name(), e.Time.UTC().Format(printed.TimeLayout), printed.Clean(l.Detail))
	}
	for _, h := range l.Record.Headers {
		fmt.Fprintf(w, "  %s: %s\n", printed.Clean(h.Key), shown(h.Value, 0))
	}
	if l.HeadersLeftOut > 0 {
		fmt.Fprintf(w, "  %d more headers were left out\n", l.HeadersLeftOut)
	}
	fmt.Fprintf(w, "  key    %s\n", shown(l.Record.Key, l.KeyBytes))
	_, err = fmt.Fprintf(w, "  value  %s\n\n", shown(l.Record.Value, l.ValueBytes))
	return err
}

// shown is bytes as a line; of is how many there were before they were cut, 0: they were not.
func shown(b []byte, of int) string {
	text := string(b)
	switch {
	case b == nil:
		return "null"
	case !utf8.Valid(b) || printed.Clean(text) != text:
		text = "base64 " + base64.StdEncoding.EncodeToString(b)
	}
	if of > 0 {
		text += fmt.Sprintf(" (cut: the first %d of %d bytes)", len(b), of)
	}
	return text
}

// line is an entry as --json writes it. Bytes that are not UTF-8 stand in base64 in a member of their own; a null key or
// value is in neither.
type line struct {
	Offset         int64            `json:"offset"` // of the dead letter, its newest copy
	Copies         int              `json:"copies"`
	WrittenAt      string           `json:"written_at"`
	Problem        string           `json:"problem,omitempty"` // it is no dead letter
	From           *from            `json:"from,omitempty"`
	Reason         string           `json:"reason,omitempty"`
	Detail         string           `json:"detail,omitempty"`
	Key            *string          `json:"key,omitempty"`
	KeyBase64      *string          `json:"key_base64,omitempty"`
	Value          *string          `json:"value,omitempty"`
	ValueBase64    *string          `json:"value_base64,omitempty"`
	Bytes          int              `json:"value_bytes"` // of the value as it was
	KeyCut         bool             `json:"key_cut"`
	ValueCut       bool             `json:"value_cut"`
	HeadersLeftOut int              `json:"headers_left_out"`
	Headers        []printed.Header `json:"headers"`
}

// from is where the record was.
type from struct {
	Topic      string `json:"topic"`
	Partition  int32  `json:"partition"`
	Offset     int64  `json:"offset"`
	LastOffset int64  `json:"last_offset"`
	Time       string `json:"time"`
}

// WriteJSON prints an entry with all that its newest copy holds as one line.
func WriteJSON(w io.Writer, e Entry, r event.Record) error {
	out := line{Offset: e.Offset(), Copies: len(e.Copies), WrittenAt: r.Time.UTC().Format(printed.TimeLayout), Bytes: e.Bytes, Headers: []printed.Header{}}
	l, err := event.ReadDeadLetter(r)
	if err != nil {
		l = event.Letter{Record: r}
		out.Problem = err.Error()
	} else {
		out.From = &from{l.Record.Topic, l.Record.Partition, l.Record.Offset, l.Record.LastOffset, l.Record.Time.UTC().Format(printed.TimeLayout)}
		out.Reason, out.Detail = string(l.Reason), l.Detail
	}
	out.KeyCut, out.ValueCut, out.HeadersLeftOut = l.KeyBytes > 0, l.ValueBytes > 0, l.HeadersLeftOut
	out.Key, out.KeyBase64 = printed.Either(l.Record.Key)
	out.Value, out.ValueBase64 = printed.Either(l.Record.Value)
	for _, h := range l.Record.Headers {
		out.Headers = append(out.Headers, printed.HeaderOf(h))
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(out)
}
