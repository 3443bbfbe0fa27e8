package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/services/gateway/internal/redisstore"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

const (
	headerIdempotencyKey = "Idempotency-Key"
	maxIdempotencyKey    = 255
	rememberFor          = 24 * time.Hour
)

// idempotencyKey reads the header of draft-ietf-httpapi-idempotency-key-header-07: a string of RFC 8941 §3.3.3, in quotes. A
// bare key, as many clients send it, is the same as the quoted one. "" is no header.
//
// What is neither is malformed, and not ignored as structured fields are otherwise: whoever sends a key relies on it. 400 is
// what the draft gives where the key is missing; its 422 stays for a key that was used for something else.
func idempotencyKey(h http.Header) (string, error) {
	lines := h.Values(headerIdempotencyKey)
	if len(lines) == 0 {
		return "", nil
	}
	key, okay := lines[0], len(lines) == 1
	if okay && strings.HasPrefix(key, `"`) {
		key, okay = unquote(key)
	} else {
		okay = okay && isBare(key)
	}
	if !okay || key == "" || len(key) > maxIdempotencyKey {
		return "", problem.New(problem.Malformed, fmt.Sprintf("%s must stand there once, with 1 to %d printable ASCII characters: "+
			`in quotes, with \ before each " and \; or bare, without spaces and " \ , ;`, headerIdempotencyKey, maxIdempotencyKey))
	}
	return key, nil
}

// unquote parses a string as RFC 8941 §4.2.5 has it, with nothing behind it.
func unquote(s string) (string, bool) {
	var key strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return key.String(), i == len(s)-1
		case c == '\\':
			if i++; i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
		case c < ' ' || c > '~':
			return "", false
		}
		key.WriteByte(s[i])
	}
	return "", false
}

// isBare refuses commas, which join the values of several lines, and semicolons, which begin parameters.
func isBare(key string) bool {
	for i := range len(key) {
		if c := key[i]; c <= ' ' || c > '~' || strings.IndexByte(`"\,;`, c) >= 0 {
			return false
		}
	}
	return true
}

// idempotency is what the store keeps of a key. Who asks is a principal and its kind, "token:<name>": of another kind it is
// someone else. The request is what was understood of the body, so that the same in other words is the same.
func idempotency(key, who, couponID, userID string) redisstore.Idempotency {
	if key == "" {
		return redisstore.Idempotency{}
	}
	return redisstore.Idempotency{Key: hashOf(who, couponID, key), Request: hashOf(userID)}
}

// hashOf has the length of each part before it, so that no other parts come to the same.
func hashOf(parts ...string) string {
	var b []byte
	for _, part := range parts {
		b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:redislayout.HashLength/2])
}

// remembered answers a claim whose key was used before: the same request gets its place in the log, as the first one did.
func (s *Service) remembered(t verdict.Ticket, k redisstore.Knock, d redisstore.Door) (pass, error) {
	switch {
	case d.Remembered.Request != k.Idempotency.Request:
		s.count("key_reused")
		return pass{}, problem.New(problem.IdempotencyKeyReused, "this key was used for another person's claim less than a day ago")
	case d.Remembered.Pending != "":
		s.count("held")
		return pass{}, problem.New(problem.DuplicateRequest, "the first request with this key is on its way").After(time.Second)
	}
	s.count("replayed")
	return pass{knock: k, ticket: placed(t, d.Remembered.Ticket), replayed: true, progress: d.Progress.Offset}, nil
}
