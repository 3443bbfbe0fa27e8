package gateway

import (
	"net/http"
	"strings"
	"time"
)

const longestWait = 30 * time.Second

// preferredWait reads "Prefer: wait=5" (RFC 7240). What is malformed or 0 is ignored, as preferences are; more than
// longestWait counts as that. Of several the first counts, also if it is malformed.
func preferredWait(h http.Header) time.Duration {
	for _, line := range h.Values("Prefer") {
		for preference := range strings.SplitSeq(line, ",") {
			preference, _, _ = strings.Cut(preference, ";") // parameters: wait has none
			name, value, _ := strings.Cut(preference, "=")
			if strings.EqualFold(strings.TrimSpace(name), "wait") {
				return seconds(strings.TrimSpace(value))
			}
		}
	}
	return 0
}

func seconds(digits string) time.Duration {
	if len(digits) >= 2 && digits[0] == '"' && digits[len(digits)-1] == '"' {
		digits = digits[1 : len(digits)-1]
	}
	var n time.Duration
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0
		}
		n = min(n*10+time.Duration(c-'0'), longestWait/time.Second)
	}
	return n * time.Second
}
