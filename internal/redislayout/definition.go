package redislayout

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/firstcome/firstcome/internal/fcfs"
)

// Fields of a coupon's hash. Numbers are decimal.
const (
	FieldCurrent     = "current"     // offset of the definition in force
	FieldLimit       = "limit"       // its limit
	FieldDefinitions = "definitions" // how many definitions took effect
	FieldTotal       = "total"       // ever granted, in all windows

	grantedPrefix    = "granted:"
	definitionPrefix = "def:"
)

// GrantedField counts what was granted in a window. It is removed with a day's people, and kept for window "".
func GrantedField(window string) string { return grantedPrefix + window }

// ParseGrantedField is the inverse of GrantedField, false for another field.
func ParseGrantedField(field string) (window string, ok bool) {
	window, ok = strings.CutPrefix(field, grantedPrefix)
	if !ok || !isWindow(window) {
		return "", false
	}
	return window, true
}

// DefinitionField holds the definition that took effect at offset, by EncodeDefinition. None is ever removed.
func DefinitionField(offset int64) string {
	return definitionPrefix + strconv.FormatInt(offset, 10)
}

// ParseDefinitionField is the inverse of DefinitionField, false for another field.
func ParseDefinitionField(field string) (offset int64, ok bool) {
	digits, ok := strings.CutPrefix(field, definitionPrefix)
	if !ok || parseInts(digits, &offset) != nil || offset < 0 {
		return 0, false
	}
	return offset, true
}

// definition is the value; the coupon id stands in the key. Times are in milliseconds, absent where 0.
type definition struct {
	Limit    int64       `json:"limit"`
	Window   fcfs.Window `json:"window"`
	TimeZone string      `json:"time_zone"`
	OpensAt  fcfs.Millis `json:"opens_at,omitempty"`
	ClosesAt fcfs.Millis `json:"closes_at,omitempty"`
	Rules    int         `json:"rules"`
}

// EncodeDefinition gives the value of a definition: compact JSON, the same bytes for the same definition.
func EncodeDefinition(d fcfs.Definition) string {
	value, err := json.Marshal(definition{d.Limit, d.Window, d.TimeZone, d.OpensAt, d.ClosesAt, d.Rules})
	if err != nil {
		panic("redislayout: " + err.Error()) // numbers and strings always marshal
	}
	return string(value)
}

// DecodeDefinition is the inverse of EncodeDefinition. Whatever it gives is valid by the rules.
func DecodeDefinition(couponID, value string) (fcfs.Definition, error) {
	var v definition
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		return fcfs.Definition{}, fmt.Errorf("definition of coupon %s: %w", couponID, err)
	}
	d := fcfs.Definition{
		CouponID: couponID, Limit: v.Limit, Window: v.Window, TimeZone: v.TimeZone,
		OpensAt: v.OpensAt, ClosesAt: v.ClosesAt, Rules: v.Rules,
	}
	if ps := d.Validate(); len(ps) > 0 {
		return fcfs.Definition{}, fmt.Errorf("definition of coupon %s: %s %s", couponID, ps[0].Member, ps[0].Detail)
	}
	return d, nil
}

// InForce gives the definition by which a claim at offset is decided, and the offset it was made at: the last one below
// the claim. False where the coupon was not defined yet.
func InForce(definitions map[int64]fcfs.Definition, offset int64) (d fcfs.Definition, at int64, ok bool) {
	at = -1
	for made := range definitions {
		if made <= offset && made > at {
			at = made
		}
	}
	if at < 0 {
		return fcfs.Definition{}, 0, false
	}
	return definitions[at], at, true
}
