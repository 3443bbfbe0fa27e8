package follow

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/firstcome/firstcome/pkg/event"
)

// view is a record as it is shown: of a dead letter, the record that was refused.
type view struct {
	event.Record
	letter  *event.Letter // nil: it is none
	event   event.Event   // of what is not understood, what its headers say
	problem *event.DecodeError
}

func viewOf(r event.Record) view {
	v := view{Record: r}
	shown := r
	if letter, err := event.ReadDeadLetter(r); err == nil && strings.HasSuffix(r.Topic, event.TopicDeadLetters) {
		v.letter, shown = &letter, letter.Record
	}
	var err error
	if v.event, err = event.Decode(shown); err != nil {
		errors.As(err, &v.problem)
	}
	return v
}

// shown is the record whose key, value and headers count.
func (v view) shown() event.Record {
	if v.letter != nil {
		return v.letter.Record
	}
	return v.Record
}

// Filter says which records are meant; each member that is not empty must have the record's.
type Filter struct {
	Coupons, Users, Types []string
}

// Match looks at the key, at a member user_id of the value, and at ce_type, whether the record is understood or not.
func (f Filter) Match(r event.Record) bool { return f.match(viewOf(r)) }

func (f Filter) match(v view) bool {
	one := func(of []string, is string) bool { return len(of) == 0 || slices.Contains(of, is) }
	return one(f.Coupons, string(v.shown().Key)) && one(f.Types, v.event.Type) && (len(f.Users) == 0 || one(f.Users, v.user()))
}

// user is the person whom a value names, "" where it names none.
func (v view) user() string {
	switch data := v.event.Data.(type) {
	case event.CouponGranted:
		return data.UserID
	case event.ClaimRequested:
		return data.UserID
	}
	var value struct {
		UserID string `json:"user_id"`
	}
	if json.Unmarshal(v.shown().Value, &value) != nil {
		return ""
	}
	return value.UserID
}

// Types are the types of records by the short names that they are shown with.
var Types = map[string]string{"defined": event.TypeCouponDefined, "granted": event.TypeCouponGranted, "requested": event.TypeClaimRequested}

func shortType(name string) string {
	for short, long := range Types {
		if long == name {
			return short
		}
	}
	return name
}
