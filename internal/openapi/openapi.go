// Package openapi serves a service's OpenAPI document, and the page that is made of it.
package openapi

import (
	"net/http"
	"sync"
)

// Document is an OpenAPI document as a service publishes it.
type Document struct {
	source []byte
	page   func() []byte
}

// New takes a document in JSON whose references have no circles. One that the page cannot be made of panics when the page
// is first asked for: it is a part of the program, and a test asks.
func New(source []byte) *Document {
	return &Document{source, sync.OnceValue(func() []byte {
		page, err := render(source)
		if err != nil {
			panic(err)
		}
		return page
	})}
}

// WriteJSON answers with the document, byte for byte.
func (d *Document) WriteJSON(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(d.source) // the reader has gone: nobody is left to be told
}

// WritePage answers with the page, and with the policy that lets a browser take its style and nothing else.
func (d *Document) WritePage(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy())
	_, _ = w.Write(d.page()) // the same
}
