package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/firstcome/firstcome/cli/internal/client"
	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/internal/fcfs"
)

// ReadAnswers reads what a load recorded, a line each person.
func ReadAnswers(r io.Reader) ([]crowd.Record, error) {
	var all []crowd.Record
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var one crowd.Record
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all = append(all, one)
	}
	return all, lines.Err()
}

type holder struct{ couponID, userID string }

// compareAnswers holds what people were told against what the log leads to: told granted, in that window with that
// sequence; told refused, not granted. Someone without an answer may have one or not.
func compareAnswers(requestsTopic string, partitions []facts, answers []crowd.Record) []Difference {
	if len(answers) == 0 {
		return nil
	}
	granted := make(map[holder][]fcfs.Fact)
	for _, fs := range partitions {
		for _, f := range fs {
			if f.Granted != nil {
				h := holder{f.Granted.CouponID, f.Granted.UserID}
				granted[h] = append(granted[h], f)
			}
		}
	}
	var out []Difference
	for _, a := range answers {
		if d, wrong := compareAnswer(requestsTopic, a, granted[holder{a.CouponID, a.UserID}]); wrong {
			out = append(out, d)
		}
	}
	return out
}

func compareAnswer(requestsTopic string, a crowd.Record, held []fcfs.Fact) (Difference, bool) {
	var own *fcfs.Fact
	for i, f := range held {
		if f.Granted.Window == a.Window {
			own = &held[i]
		}
	}
	switch a.Outcome {
	case "", "retired":
		return Difference{}, false
	case client.Granted:
		if own == nil {
			return answered(a, "was told granted, and has nothing"), true
		}
		if own.Granted.Sequence != a.Sequence {
			return answered(a, fmt.Sprintf("was told granted, and has sequence %d (source %d/%d)", own.Granted.Sequence, own.Source.Partition, own.Source.Offset)), true
		}
		if id := fcfs.GrantID(requestsTopic, own.Source); a.GrantID != "" && a.GrantID != id {
			return answered(a, fmt.Sprintf("was told the grant id %s, and has %s", a.GrantID, id)), true
		}
	case "already_issued":
		if len(held) == 0 {
			return answered(a, "was told already_issued, and has nothing"), true
		}
	default:
		if own != nil {
			return answered(a, fmt.Sprintf("was told %s, and has sequence %d (source %d/%d)", a.Outcome, own.Granted.Sequence, own.Source.Partition, own.Source.Offset)), true
		}
	}
	return Difference{}, false
}

func answered(a crowd.Record, what string) Difference {
	of := fmt.Sprintf("coupon %s", a.CouponID)
	if a.Sequence > 0 {
		of += fmt.Sprintf(", %ssequence %d", inWindow(a.Window), a.Sequence)
	}
	return Difference{Place: placeAnswers, Partition: -1, Offset: -1, CouponID: a.CouponID, Window: a.Window, Sequence: a.Sequence,
		Sentence: fmt.Sprintf("%q of %s %s", a.UserID, of, what)}
}
