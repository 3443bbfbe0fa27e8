// Package env reads a configuration from environment variables. All that is wrong with it is told in one error, by the
// variables' names; their values are never printed, since any of them may be a secret.
package env

import (
	"encoding"
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Error holds everything that is wrong, each problem beginning with the name of its variable.
type Error struct{ Problems []string }

func (e *Error) Error() string { return "configuration: " + strings.Join(e.Problems, "; ") }

// Load fills cfg, a pointer to a struct with `env` tags as of caarlos0/env, and then asks its Validate() []error (or
// Validate() error, whose joined errors count one by one). A variable that is set to nothing counts as not set.
func Load(cfg any) error { return load(cfg, env.ToMap(os.Environ())) }

func load(cfg any, environment map[string]string) error {
	for name, value := range environment {
		if value == "" {
			delete(environment, name)
		}
	}
	params, err := env.GetFieldParams(cfg)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	var e Error
	if err := env.ParseWithOptions(cfg, env.Options{Environment: environment}); err != nil {
		if e.Problems = missing(err); len(e.Problems) < len(flatten(err)) {
			e.Problems = append(e.Problems, malformed(cfg, params, environment)...)
		}
		if len(e.Problems) == 0 { // not the operator's fault: a default or a tag
			return fmt.Errorf("configuration: %w", err)
		}
	}
	for _, err := range validate(cfg) {
		if !slices.ContainsFunc(e.Problems, sameVariable(err.Error())) {
			e.Problems = append(e.Problems, err.Error())
		}
	}
	if len(e.Problems) > 0 {
		return &e
	}
	return nil
}

func missing(err error) []string {
	var problems []string
	for _, err := range flatten(err) {
		var unset env.VarIsNotSetError
		var empty env.EmptyVarError
		switch {
		case errors.As(err, &unset):
			problems = append(problems, unset.Key+" is required")
		case errors.As(err, &empty):
			problems = append(problems, empty.Key+" is required")
		}
	}
	return problems
}

// malformed tries each variable alone, because the library's errors name fields and not variables.
func malformed(cfg any, params []env.FieldParams, environment map[string]string) []string {
	var problems []string
	add := func(problem string) { // two fields may read one variable
		if !slices.Contains(problems, problem) {
			problems = append(problems, problem)
		}
	}
	for _, p := range params {
		value, set := environment[p.Key]
		if !set || p.OwnKey == "" {
			continue
		}
		probe := reflect.New(reflect.TypeOf(cfg).Elem()).Interface()
		err := env.ParseWithOptions(probe, env.Options{Environment: map[string]string{p.Key: value}})
		for _, err := range flatten(err) {
			var parse env.ParseError
			var file env.LoadFileContentError
			switch {
			case errors.As(err, &parse):
				add(p.Key + " " + expected(parse, value))
			case errors.As(err, &file):
				add(p.Key + " names a file that cannot be read")
			}
		}
	}
	return problems
}

// expected says what a value of the type looks like. Only a type that reads itself speaks for itself: package strconv
// and others quote what they were given.
func expected(err env.ParseError, value string) string {
	t := err.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		text := strings.ReplaceAll(err.Err.Error(), strings.Trim(strconv.Quote(value), `"`), "…")
		return "is malformed: " + strings.ReplaceAll(strings.ReplaceAll(text, value, "…"), "\n", ", ")
	}
	if t.Kind() == reflect.Slice {
		return "must be a comma list, each " + shape(t.Elem())
	}
	return "must be " + shape(t)
}

func shape(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "a duration such as 1m30s"
	case reflect.TypeFor[url.URL]():
		return "a URL"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("a whole number of at most %d bits", t.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("a whole number of at most %d bits, not negative", t.Bits())
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "of another shape"
}

func validate(cfg any) []error {
	switch v := cfg.(type) {
	case interface{ Validate() []error }:
		return v.Validate()
	case interface{ Validate() error }:
		return flatten(v.Validate())
	}
	return nil
}

func flatten(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, flatten(err)...)
	}
	return all
}

// sameVariable finds a problem with the variable that text begins with: what is missing or malformed is not also to be
// reported as empty.
func sameVariable(text string) func(problem string) bool {
	name := variable(text)
	return func(problem string) bool { return name != "" && variable(problem) == name }
}

func variable(text string) string {
	end := strings.IndexFunc(text, func(c rune) bool { return c != '_' && (c < 'A' || c > 'Z') && (c < '0' || c > '9') })
	if end < 0 {
		end = len(text)
	}
	return text[:end]
}
