// Package token knows who asks: bearer tokens (RFC 6750) that an operator gives out by configuration.
package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
)

// Set is a list of tokens. The zero value is empty and lets nobody in. It keeps only hashes, so no way of printing it
// shows a secret.
type Set struct{ entries []entry }

type entry struct {
	name string
	hash [sha256.Size]byte
}

// Parse reads "name=secret,name2=secret2". A name is the principal; it may stand several times, so that secrets can be
// rotated. All that is wrong is told at once, and no part of a secret.
func Parse(list string) (Set, error) {
	var s Set
	var errs []error
	owner := map[[sha256.Size]byte]string{}
	for i, item := range strings.Split(list, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		name, secret, _ := strings.Cut(item, "=")
		if err := check(name, secret); err != nil {
			errs = append(errs, fmt.Errorf("token %d: %w", i+1, err))
			continue
		}
		hash := sha256.Sum256([]byte(secret))
		if other, taken := owner[hash]; taken && other != name {
			errs = append(errs, fmt.Errorf("token %d: has the secret of another name", i+1))
			continue
		}
		owner[hash] = name
		s.entries = append(s.entries, entry{name, hash})
	}
	if len(errs) > 0 {
		return Set{}, errors.Join(errs...)
	}
	return s, nil
}

// check never quotes: an item without "=" may be all secret.
func check(name, secret string) error {
	switch {
	case secret == "":
		return errors.New("must be name=secret")
	case !only(name, isName):
		return errors.New("the name must be of letters, digits and . _ -")
	case !only(strings.TrimRight(secret, "="), isSecret):
		return errors.New("the secret must be of letters, digits and - . _ ~ + /, then = if any")
	}
	return nil
}

func only(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isName(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("._-", c) >= 0 }

// isSecret: the characters of b64token in RFC 6750 §2.1; others could not be sent.
func isSecret(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("-._~+/", c) >= 0 }

// UnmarshalText makes a Set a field of a configuration.
func (s *Set) UnmarshalText(list []byte) error {
	parsed, err := Parse(string(list))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// Empty tells whether there is no token at all.
func (s Set) Empty() bool { return len(s.entries) == 0 }

// Principal is the name whose token the request carries in "Authorization: Bearer". How long it takes depends on the
// number of tokens and the length of what was sent, never on how near it came.
func (s Set) Principal(r *http.Request) (name string, ok bool) {
	secret, sent := Bearer(r)
	if !sent {
		return "", false
	}
	hash := sha256.Sum256([]byte(secret))
	for _, e := range s.entries {
		if subtle.ConstantTimeCompare(hash[:], e.hash[:]) == 1 {
			name, ok = e.name, true
		}
	}
	return name, ok
}

// Bearer is what the request carries in "Authorization: Bearer", if it has one such header.
func Bearer(r *http.Request) (secret string, ok bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, secret, found := strings.Cut(values[0], " ")
	return strings.TrimLeft(secret, " "), found && strings.EqualFold(scheme, "Bearer")
}

// String gives the names.
func (s Set) String() string {
	names := make([]string, len(s.entries))
	for i, e := range s.entries {
		names[i] = e.name
	}
	return "tokens of [" + strings.Join(names, " ") + "]"
}

// LogValue gives the names.
func (s Set) LogValue() slog.Value { return slog.StringValue(s.String()) }
