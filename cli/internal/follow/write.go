package follow

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/firstcome/firstcome/cli/internal/printed"
	"github.com/firstcome/firstcome/pkg/event"
)

// Writer shows records, one a line.
type Writer struct {
	Out    io.Writer
	JSON   bool
	Colour bool

	place, kind, coupon int // how wide the columns have become
}

// Write shows a record.
func (w *Writer) Write(r event.Record) error {
	v := viewOf(r)
	if w.JSON {
		return w.object(v)
	}
	return w.line(v)
}

// Escape sequences of terminals.
const (
	green, yellow, red, cyan, plain = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[36m", "\x1b[0m"
)

var colours = map[string]string{event.TypeCouponGranted: green, event.TypeCouponDefined: cyan, event.TypeClaimRequested: ""}

func (w *Writer) line(v view) error {
	kind, colour := printed.Clean(shortType(v.event.Type)), yellow // a type that is not known
	if known, ok := colours[v.event.Type]; ok {
		colour = known
	}
	switch {
	case v.letter != nil:
		kind, colour = printed.Clean(string(v.letter.Reason)), red
	case v.problem != nil && v.problem.Reason != event.ReasonUnknownType:
		kind, colour = string(v.problem.Reason), red
	}
	coupon := printed.Clean(string(v.shown().Key))
	if coupon == "" {
		coupon = "-"
	}
	place := fmt.Sprintf("%d/%d", v.Partition, v.Offset)
	text := fmt.Sprintf("%s  %s  %s  %s  %s", v.Time.UTC().Format(printed.TimeLayout), column(place, &w.place, 4),
		paint(w.Colour, colour, column(kind, &w.kind, len("requested"))), column(coupon, &w.coupon, 10), v.says())
	_, err := fmt.Fprintln(w.Out, strings.TrimRight(text, " "))
	return err
}

// column is as wide as the widest so far, up to a point.
func column(text string, width *int, least int) string {
	n := utf8.RuneCountInString(text)
	*width = max(*width, least, min(n, 40))
	return text + strings.Repeat(" ", max(0, *width-n))
}

func paint(on bool, colour, text string) string {
	if !on || colour == "" {
		return text
	}
	return colour + text + plain
}

// says is what a record is about, in words. Of a dead letter that is why it was refused and not who asked.
func (v view) says() string {
	if v.letter != nil {
		return fmt.Sprintf("of %s/%d/%d: %s", printed.Clean(v.letter.Record.Topic), v.letter.Record.Partition, v.letter.Record.Offset, printed.Clean(v.letter.Detail))
	}
	switch data := v.event.Data.(type) {
	case event.CouponGranted:
		text := fmt.Sprintf("%d of %d to %s", data.Sequence, data.Limit, printed.Clean(data.UserID))
		if data.Window != "" {
			text += " for " + data.Window
		}
		return text
	case event.ClaimRequested:
		return printed.Clean(data.UserID)
	case event.CouponDefined:
		return definition(data)
	}
	if v.problem != nil && v.problem.Reason != event.ReasonUnknownType {
		return printed.Clean(v.problem.Detail)
	}
	return shorten(printed.Clean(string(v.Value)))
}

func definition(d event.CouponDefined) string {
	text := fmt.Sprintf("limit %d, window %s, %s", d.Limit, d.Window, printed.Clean(d.TimeZone))
	for _, t := range []struct {
		name string
		at   time.Time
	}{{"opens", d.OpensAt}, {"closes", d.ClosesAt}} {
		if !t.at.IsZero() {
			text += ", " + t.name + " " + t.at.UTC().Format(printed.TimeLayout)
		}
	}
	return text
}

func shorten(text string) string {
	const most = 200
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// object is a record as JSON. Bytes that are not UTF-8 stand in base64 in a member of their own; a null key or value is in
// neither. The attributes and headers are those of the record that a dead letter is about.
type object struct {
	Topic         string           `json:"topic"`
	Partition     int32            `json:"partition"`
	Offset        int64            `json:"offset"`
	LastOffset    int64            `json:"last_offset,omitempty"` // of a batch that can't be read
	Time          string           `json:"time"`                  // of the record in Kafka
	Letter        *letter          `json:"dead_letter,omitempty"`
	Problem       string           `json:"problem,omitempty"` // why it is not understood
	Type          string           `json:"type,omitempty"`
	ID            string           `json:"id,omitempty"`
	Source        string           `json:"source,omitempty"`
	EventTime     string           `json:"event_time,omitempty"`
	CorrelationID string           `json:"correlation_id,omitempty"`
	TraceParent   string           `json:"traceparent,omitempty"`
	Headers       []printed.Header `json:"headers,omitempty"` // those that nothing above shows
	Key           *string          `json:"key,omitempty"`
	KeyBase64     *string          `json:"key_base64,omitempty"`
	Data          json.RawMessage  `json:"data,omitempty"` // the value, where it is JSON
	Value         *string          `json:"value,omitempty"`
	ValueBase64   *string          `json:"value_base64,omitempty"`
}

type letter struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Time      string `json:"time"`
	Reason    string `json:"reason"`
	Detail    string `json:"detail"`
}

// told are the headers that have a member of their own, or say what every record's do.
var told = []string{"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_correlationid", "traceparent", "content-type"}

func (w *Writer) object(v view) error {
	o := object{
		Topic: v.Topic, Partition: v.Partition, Offset: v.Offset, Time: v.Time.UTC().Format(printed.TimeLayout),
		Type: v.event.Type, ID: v.event.ID, Source: v.event.Source, CorrelationID: v.event.CorrelationID, TraceParent: v.event.TraceParent,
	}
	if v.LastOffset > v.Offset {
		o.LastOffset = v.LastOffset
	}
	if !v.event.Time.IsZero() {
		o.EventTime = v.event.Time.UTC().Format(printed.TimeLayout)
	}
	if v.problem != nil {
		o.Problem = v.problem.Error()
	}
	if l := v.letter; l != nil {
		o.Letter = &letter{l.Record.Topic, l.Record.Partition, l.Record.Offset, l.Record.Time.UTC().Format(printed.TimeLayout), string(l.Reason), l.Detail}
	}
	shown := v.shown()
	for _, h := range shown.Headers {
		if v.event.Type == "" || !slices.Contains(told, h.Key) {
			o.Headers = append(o.Headers, printed.HeaderOf(h))
		}
	}
	o.Key, o.KeyBase64 = printed.Either(shown.Key)
	if json.Valid(shown.Value) && utf8.Valid(shown.Value) {
		o.Data = shown.Value
	} else {
		o.Value, o.ValueBase64 = printed.Either(shown.Value)
	}
	encoder := json.NewEncoder(w.Out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(o)
}
