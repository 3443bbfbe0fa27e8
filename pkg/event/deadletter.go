package event

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// A dead letter must fit into one record of a broker with default settings whatever it came from: a compressed batch can
// hide a key or headers of many megabytes, and a dead letter that the broker refuses would stop its partition for ever.
const (
	deadValue   = 512 << 10
	deadKey     = 64 << 10
	deadHeaders = 128 << 10
	deadDetail  = 1 << 10
)

const deadPrefix = "fc_"

// Notes in front of fc_detail, each with "; " behind it.
const (
	noteLast    = "last offset "
	noteValue   = "value cut from "
	noteKey     = "key cut from "
	noteBytes   = " bytes"
	noteHeaders = " headers left out"
)

// DeadLetter makes the record for the dead letters' topic: key, value (cut at 512 KiB) and headers as they came, and
// where it came from and why in fc_topic, fc_partition, fc_offset, fc_time, fc_reason and fc_detail. For a batch that
// could not be read fc_offset is its first offset, and fc_detail says its last. A key above 64 KiB is cut and headers beyond
// 128 KiB are left out, which fc_detail says too. ReadDeadLetter is the way back. The message has copies, nothing of it
// points into the record.
func DeadLetter(r Record, reason Reason, detail string) Message {
	var notes []string
	if r.LastOffset > r.Offset {
		notes = append(notes, fmt.Sprint(noteLast, r.LastOffset))
	}
	if len(r.Value) > deadValue {
		notes = append(notes, fmt.Sprint(noteValue, len(r.Value), noteBytes))
	}
	if len(r.Key) > deadKey {
		notes = append(notes, fmt.Sprint(noteKey, len(r.Key), noteBytes))
	}
	headers, dropped := deadHeadersOf(r.Headers)
	if dropped > 0 {
		notes = append(notes, fmt.Sprint(dropped, noteHeaders))
	}
	detail = strings.Join(append(notes, cutText(detail)), "; ")
	add := func(name, value string) { headers = append(headers, Header{deadPrefix + name, []byte(value)}) }
	add("topic", r.Topic)
	add("partition", strconv.Itoa(int(r.Partition)))
	add("offset", strconv.FormatInt(r.Offset, 10))
	add("time", deadTime(r))
	add("reason", string(reason))
	add("detail", detail)
	return Message{
		Key:     bytes.Clone(r.Key[:min(len(r.Key), deadKey)]),
		Value:   bytes.Clone(r.Value[:min(len(r.Value), deadValue)]),
		Headers: headers,
	}
}

// deadHeadersOf copies headers as far as there is room. Those named fc_ would be taken for ours and go.
func deadHeadersOf(headers []Header) (kept []Header, dropped int) {
	const each = 10 // lengths on the wire
	room := deadHeaders
	for _, h := range headers {
		if strings.HasPrefix(h.Key, deadPrefix) {
			continue
		}
		if room -= len(h.Key) + len(h.Value) + each; room < 0 {
			dropped++
			continue
		}
		kept = append(kept, Header{strings.Clone(h.Key), bytes.Clone(h.Value)})
	}
	return kept, dropped
}

// deadTime is RFC 3339, or Unix milliseconds where a client's clock was beyond what that can write.
func deadTime(r Record) string {
	if !writable(r.Time) {
		return strconv.FormatInt(r.Time.UnixMilli(), 10)
	}
	return string(appendTime(nil, r.Time))
}

func cutText(s string) string {
	if len(s) <= deadDetail {
		return s
	}
	return strings.ToValidUTF8(s[:deadDetail], "") + "…"
}
