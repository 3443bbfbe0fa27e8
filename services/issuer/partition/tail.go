package partition

import (
	"fmt"
	"strings"

	"github.com/firstcome/firstcome/internal/redislayout"
)

// Tail is what is known of the journal up to Next: its highest source, and that of the record before Next. The journal
// only grows, so this stays true for ever, and whoever knows it need not read that part again. It is compared with the
// journal before it is believed: a journal that was made anew has another record there.
type Tail struct{ Next, Highest, Last int64 }

func (t Tail) within(start, end int64) bool { return t.Next > start && t.Next <= end && t.Next > 0 }

// appended takes the acknowledgement of n facts, the last with this source. If others wrote between, the tail stays what
// it was: what they wrote is not known.
func (t *Tail) appended(e Emitted, n int, source int64) {
	if e.First == t.Next && e.Last-e.First+1 == int64(n) {
		*t = Tail{Next: e.Last + 1, Highest: max(t.Highest, source), Last: source}
	}
}

// commitMark is what is kept with the group's offset: the progress that it stands for, so that a gap of refusals costs no
// log time, and a tail, so that the next owner reads only what came after.
type commitMark struct {
	Progress Progress
	Tail     Tail
}

const markVersion = "1"

func (c commitMark) String() string {
	return fmt.Sprintf("%s %v %d %d %d", markVersion, c.Progress, c.Tail.Next, c.Tail.Highest, c.Tail.Last)
}

// parseMark takes only what String writes: a group's offset may have been set by anybody's tool.
func parseMark(c Committed) (commitMark, bool) {
	var m commitMark
	fields := strings.Split(c.Metadata, " ")
	if len(fields) != 5 || fields[0] != markVersion {
		return commitMark{}, false
	}
	p, err := redislayout.ParseProgress(fields[1])
	if err != nil || p.Offset != c.Offset-1 {
		return commitMark{}, false
	}
	m.Progress = p
	_, err = fmt.Sscanf(strings.Join(fields[2:], " "), "%d %d %d", &m.Tail.Next, &m.Tail.Highest, &m.Tail.Last)
	if err != nil || m.String() != c.Metadata {
		return commitMark{}, false
	}
	return m, true
}
