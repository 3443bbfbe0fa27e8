package event

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

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

// attributes are the headers by what they mean. Index has the order of attributeNames.
type attributes [len(attributeNames)]struct {
	value   []byte
	present bool
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

// readHeaders reads the attributes of a CloudEvent in binary content mode. A header that stands twice is refused: two
// readers might take different ones. What is only for tracing never costs anyone a coupon: if it has not the form that
// it should have, it is as if absent.
func readHeaders(headers []Header) (Event, error) {
	var all attributes
	for _, h := range headers {
		i := attributeAt(h.Key)
		if i < 0 {
			continue
		}
		if all[i].present {
			return Event{}, notCloudEvent(h.Key + " stands twice")
		}
		all[i].value, all[i].present = h.Value, true
	}
	if err := all.check(); err != nil {
		return Event{}, err
	}
	e := Event{
		Meta:    Meta{ID: string(all[atID].value), Source: string(all[atSource].value)},
		Type:    knownType(all[atType].value),
		Subject: string(all[atSubject].value),
	}
	if all[atTime].present {
		t, ok := parseTime(string(all[atTime].value))
		if !ok {
			return Event{}, notCloudEvent(headerTime + " must be a time of RFC 3339")
		}
		e.Time = t
	}
	if v := string(all[atCorrelationID].value); isCorrelationID(v) {
		e.CorrelationID = v
	}
	if v := string(all[atTraceParent].value); isTraceParent(v) {
		e.TraceParent = v
	}
	return e, nil
}

// check holds what CloudEvents 1.0 demands of the attributes, and that the value is JSON.
func (all *attributes) check() error {
	media, _, _ := strings.Cut(string(all[atContentType].value), ";")
	media = strings.ToLower(strings.Trim(media, " \t"))
	if strings.HasPrefix(media, "application/cloudevents") {
		return notCloudEvent("structured mode; records are in binary mode")
	}
	if string(all[atSpecVersion].value) != specVersion {
		return notCloudEvent(headerSpecVersion + " must be " + specVersion)
	}
	for i := atID; i <= atSubject; i++ {
		a := all[i]
		if i == atSubject && !a.present {
			continue // CloudEvents lets it away, and the value has the coupon id
		}
		if len(a.value) == 0 {
			return notCloudEvent(attributeNames[i] + " is missing")
		}
		if !isAttribute(a.value) {
			return notCloudEvent(attributeNames[i] + " must be UTF-8 without control characters")
		}
	}
	if media != contentType {
		return notCloudEvent(headerContentType + " must be " + contentType)
	}
	return nil
}

func isAttribute(v []byte) bool {
	ascii := true
	for _, c := range v {
		if c < ' ' || c == 0x7f {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return ascii || utf8.Valid(v) && !strings.ContainsFunc(string(v), unicode.IsControl)
}

// knownType saves the allocation where the type is one of ours.
func knownType(v []byte) string {
	switch string(v) {
	case TypeClaimRequested:
		return TypeClaimRequested
	case TypeCouponGranted:
		return TypeCouponGranted
	case TypeCouponDefined:
		return TypeCouponDefined
	}
	return string(v)
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
