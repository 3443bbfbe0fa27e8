package event

import "strings"

// The headers, in the order in which they are written.
const (
	headerSpecVersion   = "ce_specversion"
	headerID            = "ce_id"
	headerSource        = "ce_source"
	headerType          = "ce_type"
	headerSubject       = "ce_subject"
	headerTime          = "ce_time"
	headerContentType   = "content-type"
	headerTraceParent   = "traceparent"
	headerCorrelationID = "ce_correlationid"
)

const (
	specVersion      = "1.0"
	contentType      = "application/json"
	maxCorrelationID = 128
)

func notCloudEvent(detail string) error { return &DecodeError{ReasonNotCloudEvent, detail} }

// attributes are the values of the headers that we know, in the order of attributeNames.
type attributes struct {
	values  [len(attributeNames)]string
	present [len(attributeNames)]bool
}

var attributeNames = [...]string{
	headerSpecVersion, headerID, headerSource, headerType, headerSubject, headerTime, headerContentType,
	headerTraceParent, headerCorrelationID,
}

const (
	atSpecVersion = iota
	atID
	atSource
	atType
	atSubject
	atTime
	atContentType
	atTraceParent
	atCorrelationID
)

func attributeAt(key string) int {
	for i, name := range attributeNames {
		if name == key {
			return i
		}
	}
	return -1
}

// gather takes the attributes out of the headers, as copies in one piece of memory. A header that stands twice is
// refused: two readers might take different ones.
func gather(headers []Header) (all attributes, err error) {
	var at [len(attributeNames)]int // its header, from 1
	size := 0
	for i := range headers {
		a := attributeAt(headers[i].Key)
		if a < 0 {
			continue
		}
		if at[a] != 0 {
			return all, notCloudEvent(headers[i].Key + " stands twice")
		}
		at[a] = i + 1
		size += len(headers[i].Value)
	}
	var text strings.Builder
	text.Grow(size)
	for a, i := range at {
		if i == 0 {
			continue
		}
		start := text.Len()
		text.Write(headers[i-1].Value)
		all.values[a], all.present[a] = text.String()[start:], true
	}
	return all, nil
}

// readHeaders reads a CloudEvent in binary content mode. What is only for tracing never costs anyone a coupon: if it has
// not the form that it should have, it is as if absent.
func readHeaders(headers []Header) (Event, error) {
	all, err := gather(headers)
	if err != nil {
		return Event{}, err
	}
	if err := all.check(); err != nil {
		return Event{}, err
	}
	e := Event{
		Meta:    Meta{ID: all.values[atID], Source: all.values[atSource]},
		Type:    all.values[atType],
		Subject: all.values[atSubject],
	}
	if all.present[atTime] {
		t, ok := parseTime(all.values[atTime])
		if !ok {
			return Event{}, notCloudEvent(headerTime + " must be a time of RFC 3339")
		}
		e.Time = t
	}
	if v := all.values[atCorrelationID]; isCorrelationID(v) {
		e.CorrelationID = v
	}
	if v := all.values[atTraceParent]; isTraceParent(v) {
		e.TraceParent = v
	}
	return e, nil
}

// check holds what CloudEvents 1.0 demands of the attributes, and that the value is JSON.
func (all *attributes) check() error {
	media, _, _ := strings.Cut(all.values[atContentType], ";")
	media = strings.ToLower(strings.Trim(media, " \t"))
	if strings.HasPrefix(media, "application/cloudevents") {
		return notCloudEvent("structured mode; records are in binary mode")
	}
	if all.values[atSpecVersion] != specVersion {
		return notCloudEvent(headerSpecVersion + " must be " + specVersion)
	}
	for i := atID; i <= atSubject; i++ {
		if i == atSubject && !all.present[i] {
			continue // CloudEvents lets it away, and the value has the coupon id
		}
		if all.values[i] == "" {
			return notCloudEvent(attributeNames[i] + " is missing")
		}
		if checkText(all.values[i]) != nil {
			return notCloudEvent(attributeNames[i] + " must be UTF-8 without control characters")
		}
	}
	if media != contentType {
		return notCloudEvent(headerContentType + " must be " + contentType)
	}
	return nil
}

func isCorrelationID(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= maxCorrelationID
}

// isTraceParent holds version-trace-parent-flags of W3C Trace Context; a later version may add to it.
func isTraceParent(s string) bool {
	const form = "00-00000000000000000000000000000000-0000000000000000-00"
	if len(s) < len(form) || len(s) > maxCorrelationID || len(s) > len(form) && (s[:2] == "00" || s[len(form)] != '-') {
		return false
	}
	for i := 0; i < len(form); i++ {
		if form[i] == '-' {
			if s[i] != '-' {
				return false
			}
		} else if _, ok := hexDigit(s[i]); !ok {
			return false
		}
	}
	zeroes := s[3:35] == form[3:35] || s[36:52] == form[36:52]
	return !zeroes && s[:2] != "ff" && isCorrelationID(s)
}
