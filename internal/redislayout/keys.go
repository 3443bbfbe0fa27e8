// Package redislayout is what the issuer writes to Redis and everybody else reads there: keys, values, and the message of
// the outcomes channel. No driver: how they are read and written is the business of each service's store.
package redislayout

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Keys makes the keys of one partition. All have the partition's hash tag, so they live in one slot of a cluster and one
// script may touch them all.
type Keys struct{ base string }

// New: prefix "fc" and partition 7 give keys that begin with "fc:{7}:". The prefix must hold no braces.
func New(prefix string, partition int32) Keys {
	return Keys{base: prefix + ":{" + strconv.FormatInt(int64(partition), 10) + "}:"}
}

// Progress is a string, see type Progress.
func (k Keys) Progress() string { return k.base + "progress" }

// Coupons is a sorted set of all coupon ids, each with score 0: ordered by id.
func (k Keys) Coupons() string { return k.base + "coupons" }

// Retire is a sorted set: RetireMember by the log time in milliseconds at which the window's people are dropped. It holds
// window "" of a coupon as long as its definition in force has closes_at, and a day from its first grant on.
func (k Keys) Retire() string { return k.base + "retire" }

// Coupon is a hash, see FieldCurrent and the others.
func (k Keys) Coupon(id string) string { return k.base + "coupon:" + id }

// Granted is a hash: user → Entry.
func (k Keys) Granted(id, window string) string { return k.base + "granted:" + id + ":" + window }

// Outbox is a list of the facts that are decided and not yet acknowledged in the journal, in order, an element a batch.
func (k Keys) Outbox() string { return k.base + "outbox" }

// Guard is a string with a time to live: a Ticket, or PendingMark and a random token while the append is under way.
// The user id stands last, since it may contain anything.
func (k Keys) Guard(id, window, user string) string {
	return k.base + "guard:" + id + ":" + window + ":" + user
}

// Idempotency is a string with a time to live: the gateway's memory of an Idempotency-Key, see type Remembered. It is found
// by the hash of who asks, coupon and key.
func (k Keys) Idempotency(hash string) string { return k.base + "idem:" + hash }

// Outcomes is not a key but the channel on which each batch is told, see type Outcomes.
func (k Keys) Outcomes() string { return k.base + "outcomes" }

// RetireMember names a window in the Retire set. Coupon ids have no colon.
func RetireMember(id, window string) string { return id + ":" + window }

// ParseRetireMember is the inverse of RetireMember.
func ParseRetireMember(member string) (id, window string, err error) {
	id, window, ok := strings.Cut(member, ":")
	if !ok || id == "" || !isWindow(window) {
		return "", "", fmt.Errorf("%q is not a member of the retire set", member)
	}
	return id, window, nil
}

func isWindow(s string) bool {
	if s == "" {
		return true
	}
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

var errShape = errors.New("wrong shape")

// parseInts reads exactly len(into) numbers with colons between, each written the one way in which this package writes it.
func parseInts(s string, into ...*int64) error {
	for i, n := range into {
		part, rest, more := strings.Cut(s, ":")
		if more != (i < len(into)-1) {
			return errShape
		}
		v, err := strconv.ParseInt(part, 10, 64)
		if err != nil || strconv.FormatInt(v, 10) != part {
			return errShape
		}
		*n, s = v, rest
	}
	return nil
}

func joinInts(ns ...int64) string {
	b := make([]byte, 0, 48)
	for i, n := range ns {
		if i > 0 {
			b = append(b, ':')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(b)
}
