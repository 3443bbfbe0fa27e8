package gateway

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/pkg/event"
)

const maxBody = 4 << 10

// readObject reads the body as one JSON object. What is taken out of it is checked by finish.
func readObject(w http.ResponseWriter, r *http.Request) (*event.Object, error) {
	if !isJSON(r.Header) {
		return nil, problem.New(problem.UnsupportedMediaType, "the body must be application/json in UTF-8, and not compressed")
	}
	if r.ContentLength > maxBody { // nobody has to send it first
		return nil, &http.MaxBytesError{Limit: maxBody}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, err
	case err != nil:
		return nil, problem.New(problem.Malformed, "the body did not arrive whole")
	}
	o, err := event.ParseObject(body)
	if err != nil {
		return nil, problem.New(problem.Malformed, err.Error())
	}
	return o, nil
}

func isJSON(h http.Header) bool {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return false
	}
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	charset := params["charset"]
	return err == nil && media == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// finish is nil if every member of o was asked for and nothing was wrong with any.
func finish(o *event.Object) error {
	o.Unknown()
	if len(o.Errors()) == 0 {
		return nil
	}
	fields := make([]problem.FieldError, 0, len(o.Errors()))
	for _, e := range o.Errors() {
		fields = append(fields, problem.FieldError{Pointer: e.Pointer, Detail: e.Detail})
	}
	return problem.InvalidFields(fields...)
}
