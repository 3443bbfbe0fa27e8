// Package printed makes what came from outside fit to be printed.
package printed

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/firstcome/firstcome/pkg/event"
)

// TimeLayout is how times are printed, in UTC.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// Clean keeps a text from outside on its line and out of the terminal's controls.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// Either is bytes as they stand in JSON: as they are, or in base64 where they are not UTF-8; null is neither.
func Either(b []byte) (text, encoded *string) {
	switch {
	case b == nil:
		return nil, nil
	case utf8.Valid(b):
		s := string(b)
		return &s, nil
	}
	s := base64.StdEncoding.EncodeToString(b)
	return nil, &s
}

// Header is a header of a record in JSON.
type Header struct {
	Name        string  `json:"name"`
	Value       *string `json:"value,omitempty"`
	ValueBase64 *string `json:"value_base64,omitempty"`
}

// HeaderOf shows a header.
func HeaderOf(h event.Header) Header {
	text, encoded := Either(h.Value)
	return Header{h.Key, text, encoded}
}
