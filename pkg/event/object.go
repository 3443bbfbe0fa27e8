package event

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

type kind byte

const (
	kindString kind = iota + 1
	kindNumber
	kindObject
	kindOther // true, false, null and arrays: no record has them
)

type member struct {
	name   string
	text   string  // of a string, unescaped; of a number, as it is written
	object *Object // of an object
	kind   kind
	read   bool
}

// Object is one JSON object that was read strictly: exact names, none twice, UTF-8, no lone surrogates, nothing behind it.
// Its methods take members out and gather what is wrong with them, so that a caller reads everything first and asks
// for Errors once.
type Object struct {
	members []member
	index   map[string]int // by name, once there are many
	path    string         // JSON pointer of this object, "#" for the outermost
	errors  *[]FieldError  // of the outermost: its list
	list    []FieldError
	missing bool      // stands for an object that is not there; says nothing more
	room    [4]member // claims are most of what is read, and have two members
}

const manyMembers = 16

// ParseObject reads b as exactly one object. The error is a *SyntaxError. What is taken out of the object does not point
// into b.
func ParseObject(b []byte) (*Object, error) {
	p := scanner{s: string(b)}
	if !utf8.ValidString(p.s) {
		return nil, &SyntaxError{badUTF8(p.s), "not UTF-8"}
	}
	o := &Object{path: "#"}
	o.errors = &o.list
	if err := p.object(o, 1); err != nil {
		return nil, err
	}
	if p.space(); p.pos != len(p.s) {
		return nil, p.fail("more after the object")
	}
	return o, nil
}

func badUTF8(s string) int {
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)) {
			return i
		}
	}
	return len(s)
}

// add makes room for a member; fresh is false where the name was there.
func (o *Object) add(name string) (m *member, fresh bool) {
	if o.find(name) != nil {
		return nil, false
	}
	if o.members == nil {
		o.members = o.room[:0]
	}
	o.members = append(o.members, member{name: name})
	switch n := len(o.members); {
	case o.index != nil:
		o.index[name] = n - 1
	case n == manyMembers:
		o.index = make(map[string]int, 2*n)
		for i := range o.members {
			o.index[o.members[i].name] = i
		}
	}
	return &o.members[len(o.members)-1], true
}

func (o *Object) find(name string) *member {
	if o.index != nil {
		if i, ok := o.index[name]; ok {
			return &o.members[i]
		}
		return nil
	}
	for i := range o.members {
		if o.members[i].name == name {
			return &o.members[i]
		}
	}
	return nil
}

// Has tells whether there is a member of that name, whatever it holds.
func (o *Object) Has(name string) bool { return o.find(name) != nil }

// String takes a string out; "" where it is absent or wrong.
func (o *Object) String(name string, required bool) string {
	if m := o.take(name, required, kindString, "must be a string"); m != nil {
		return m.text
	}
	return ""
}

// Int takes an integer from min to max out; 0 where it is absent or wrong. It must be written as an integer: 1.0 and
// 1e2 are of the wrong type.
func (o *Object) Int(name string, required bool, min, max int64) int64 {
	m := o.take(name, required, kindNumber, "must be an integer")
	if m == nil {
		return 0
	}
	if strings.ContainsAny(m.text, ".eE") {
		o.Fail(name, "must be an integer, without fraction or exponent")
		return 0
	}
	n, err := strconv.ParseInt(m.text, 10, 64)
	if err == nil && n >= min && n <= max {
		return n
	}
	switch {
	case min > math.MinInt64 && max < math.MaxInt64:
		o.Fail(name, fmt.Sprintf("must be between %d and %d", min, max))
	case min > math.MinInt64:
		o.Fail(name, fmt.Sprintf("must be at least %d, and have 64 bits", min))
	default:
		o.Fail(name, "must have 64 bits")
	}
	return 0
}

// Time takes an RFC 3339 time with any offset out, in UTC, cut to milliseconds; zero where it is absent or wrong.
func (o *Object) Time(name string) time.Time { return o.time(name, false) }

func (o *Object) time(name string, required bool) time.Time {
	m := o.take(name, required, kindString, "must be a string")
	if m == nil {
		return time.Time{}
	}
	t, ok := parseTime(m.text)
	if !ok {
		o.Fail(name, "must be a time of RFC 3339, such as 2026-11-22T09:00:00.000Z")
	}
	return t
}

// Object takes an object out. It is never nil: one that is absent or wrong reads as empty, without further errors.
func (o *Object) Object(name string, required bool) *Object {
	m := o.take(name, required, kindObject, "must be an object")
	if m == nil {
		return &Object{missing: true}
	}
	m.object.path, m.object.errors = o.pointer(name), o.errors
	return m.object
}

func (o *Object) take(name string, required bool, want kind, otherwise string) *member {
	m := o.find(name)
	if m == nil {
		if required {
			o.Fail(name, "is required")
		}
		return nil
	}
	m.read = true
	if m.kind != want {
		o.Fail(name, otherwise)
		return nil
	}
	return m
}

// Fail adds an error of the caller's own to a member.
func (o *Object) Fail(name, detail string) {
	if !o.missing {
		*o.errors = append(*o.errors, FieldError{o.pointer(name), detail})
	}
}

// Unknown adds an error for each member that was never asked for, here and in the objects that were taken out. A name
// that differs only in case is one of them.
func (o *Object) Unknown() {
	for i := range o.members {
		switch m := &o.members[i]; {
		case !m.read:
			o.Fail(m.name, "is not known")
		case m.kind == kindObject && m.object.errors != nil:
			m.object.Unknown()
		}
	}
}

// Errors is what was wrong so far, in the order in which it was asked for; nil if nothing.
func (o *Object) Errors() []FieldError {
	if o.missing {
		return nil
	}
	return *o.errors
}

func (o *Object) pointer(name string) string {
	name = strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
	return o.path + "/" + url.PathEscape(name)
}
