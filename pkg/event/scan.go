package event

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// SyntaxError says where text stops being one strict JSON object.
type SyntaxError struct {
	Position int // in bytes, from 0
	Detail   string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.Position, e.Detail) }

// maxDepth bounds the nesting that is followed, unknown members included.
const maxDepth = 32

// scanner reads JSON by RFC 8259. encoding/json is not used since it takes names of any case, the last of several equal
// names, and replaces bad UTF-8 and lone surrogates: two readers of one record could then see two different people.
type scanner struct {
	s   string
	pos int
}

func (p *scanner) fail(detail string) error { return &SyntaxError{p.pos, detail} }

func (p *scanner) space() {
	for p.pos < len(p.s) {
		switch p.s[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// take steps over c if it is next, after space.
func (p *scanner) take(c byte) bool {
	p.space()
	if p.pos < len(p.s) && p.s[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// object reads one into o, the opening brace being next.
func (p *scanner) object(o *Object, depth int) error {
	if !p.take('{') {
		return p.fail("expected an object")
	}
	if p.take('}') {
		return nil
	}
	for {
		p.space()
		start := p.pos
		name, err := p.str()
		if err != nil {
			return err
		}
		m, fresh := o.add(name)
		if !fresh {
			return &SyntaxError{start, "duplicate name"}
		}
		if !p.take(':') {
			return p.fail("expected a colon")
		}
		if err := p.value(m, depth); err != nil {
			return err
		}
		if p.take('}') {
			return nil
		}
		if !p.take(',') {
			return p.fail("expected a comma or the end of the object")
		}
	}
}

func (p *scanner) array(depth int) error {
	p.take('[')
	if p.take(']') {
		return nil
	}
	for {
		var element member
		if err := p.value(&element, depth); err != nil {
			return err
		}
		if p.take(']') {
			return nil
		}
		if !p.take(',') {
			return p.fail("expected a comma or the end of the array")
		}
	}
}

func (p *scanner) value(m *member, depth int) (err error) {
	p.space()
	if p.pos == len(p.s) {
		return p.fail("expected a value")
	}
	if depth == maxDepth {
		return p.fail("too deeply nested")
	}
	switch c := p.s[p.pos]; {
	case c == '"':
		m.kind = kindString
		m.text, err = p.str()
	case c == '{':
		m.kind, m.object = kindObject, new(Object)
		err = p.object(m.object, depth+1)
	case c == '[':
		m.kind = kindOther
		err = p.array(depth + 1)
	case c == '-' || c >= '0' && c <= '9':
		m.kind = kindNumber
		m.text, err = p.number()
	default:
		m.kind = kindOther
		err = p.literal()
	}
	return err
}

func (p *scanner) literal() error {
	for _, word := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(p.s[p.pos:], word) {
			p.pos += len(word)
			return nil
		}
	}
	return p.fail("expected a value")
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? as it is written.
func (p *scanner) number() (string, error) {
	start := p.pos
	if p.s[p.pos] == '-' {
		p.pos++
	}
	first := p.pos
	if p.digits() == 0 {
		return "", p.fail("expected a digit")
	}
	if p.s[first] == '0' && p.pos > first+1 {
		return "", &SyntaxError{first, "a number must not begin with 0"}
	}
	if p.pos < len(p.s) && p.s[p.pos] == '.' {
		p.pos++
		if p.digits() == 0 {
			return "", p.fail("expected a digit")
		}
	}
	if p.pos < len(p.s) && p.s[p.pos]|0x20 == 'e' {
		p.pos++
		if p.pos < len(p.s) && (p.s[p.pos] == '+' || p.s[p.pos] == '-') {
			p.pos++
		}
		if p.digits() == 0 {
			return "", p.fail("expected a digit")
		}
	}
	return p.s[start:p.pos], nil
}

func (p *scanner) digits() int {
	start := p.pos
	for p.pos < len(p.s) && p.s[p.pos] >= '0' && p.s[p.pos] <= '9' {
		p.pos++
	}
	return p.pos - start
}

// str reads a string. One without escapes is a part of the text, without copying.
func (p *scanner) str() (string, error) {
	if p.pos == len(p.s) || p.s[p.pos] != '"' {
		return "", p.fail("expected a string")
	}
	p.pos++
	start := p.pos
	var b []byte // what was read up to start, once there was an escape
	for p.pos < len(p.s) {
		switch c := p.s[p.pos]; {
		case c == '"':
			part := p.s[start:p.pos]
			p.pos++
			if b == nil {
				return part, nil
			}
			return string(append(b, part...)), nil
		case c < ' ':
			return "", p.fail("control character in a string")
		case c == '\\':
			r, err := p.escape(p.s[start:p.pos], &b)
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, r)
			start = p.pos
		default:
			p.pos++
		}
	}
	return "", p.fail("unterminated string")
}

// escape reads one escape sequence, after putting what stands before it into b.
func (p *scanner) escape(before string, b *[]byte) (rune, error) {
	*b = append(*b, before...)
	start := p.pos
	p.pos++
	if p.pos == len(p.s) {
		return 0, p.fail("unterminated string")
	}
	c := p.s[p.pos]
	p.pos++
	if c != 'u' {
		const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
		if i := strings.IndexByte(from, c); i >= 0 {
			return rune(to[i]), nil
		}
		return 0, &SyntaxError{start, "unknown escape"}
	}
	r, ok := p.hex4()
	if !ok {
		return 0, &SyntaxError{start, "expected four hexadecimal digits"}
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if strings.HasPrefix(p.s[p.pos:], `\u`) {
		p.pos += 2
		low, ok := p.hex4()
		if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
			return pair, nil
		}
	}
	return 0, &SyntaxError{start, "lone surrogate"}
}

func (p *scanner) hex4() (r rune, ok bool) {
	if len(p.s)-p.pos < 4 {
		return 0, false
	}
	for i := 0; i < 4; i++ {
		c := p.s[p.pos+i]
		if c >= 'A' && c <= 'F' {
			c |= 0x20
		}
		v, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(v)
	}
	p.pos += 4
	return r, true
}
