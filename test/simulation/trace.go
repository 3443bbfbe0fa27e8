package simulation

import (
	"fmt"
	"strings"
)

// trace is what happened in a run, a line each: the number of the turn, and a sentence.
type trace struct {
	turn  int
	lines []string
}

func (t *trace) say(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf("%5d  ", t.turn)+fmt.Sprintf(format, args...))
}

func (t *trace) String() string { return strings.Join(t.lines, "\n") }
