package gateway

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

const (
	mediaJSON   = "application/json"
	mediaStream = "text/event-stream"
)

// prefersStream tells whether an Accept header (RFC 9110 §12.5.1) asks for server-sent events rather than for JSON. A
// stream is something to ask for by name: who sends "*/*" or "text/*" gets JSON, and so does who likes both as much.
func prefersStream(h http.Header) bool {
	ranges := mediaRanges(h.Values("Accept"))
	stream, named := quality(ranges, mediaStream)
	plain, alsoNamed := quality(ranges, mediaJSON)
	return named && stream > 0 && (stream > plain || stream == plain && !alsoNamed)
}

// mediaRange is one of an Accept header, its parameters left away: no media type here has any.
type mediaRange struct {
	media   string
	quality float64
}

// quality of a media type is that of the most specific range that it is in; named: the type itself stands there.
func quality(ranges []mediaRange, media string) (q float64, named bool) {
	kind, _, _ := strings.Cut(media, "/")
	for _, pattern := range []string{media, kind + "/*", "*/*"} {
		for _, r := range ranges {
			if r.media == pattern {
				return r.quality, pattern == media
			}
		}
	}
	return 0, false
}

// mediaRanges leaves out what is malformed, as if it was not there.
func mediaRanges(lines []string) (ranges []mediaRange) {
	for _, line := range lines {
		for item := range splitList(line) {
			media, params, err := mime.ParseMediaType(item)
			if err != nil {
				continue
			}
			r := mediaRange{media, 1}
			if q, given := params["q"]; given {
				if r.quality, err = strconv.ParseFloat(q, 64); err != nil || !(r.quality >= 0 && r.quality <= 1) {
					continue
				}
			}
			ranges = append(ranges, r)
		}
	}
	return ranges
}

// splitList splits at the commas that stand outside of quotes.
func splitList(line string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		quoted, from := false, 0
		for i := 0; i < len(line); i++ {
			switch c := line[i]; {
			case quoted && c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case c == ',' && !quoted:
				if !yield(line[from:i]) {
					return
				}
				from = i + 1
			}
		}
		yield(line[from:])
	}
}
