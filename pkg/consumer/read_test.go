package consumer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
)

// facts are journal records of partition 3 with these sources; "-" is a record
// without one, "1/7" one whose source is in another partition, "!5" one that
// could not be read. None has a type: whether it is known is the handler's matter.
func facts(sources string) (records []event.Record) {
	for offset, s := range strings.Fields(sources) {
		r := event.Record{Partition: 3, Offset: int64(offset), Value: []byte(s)}
		partition, source := int32(3), int64(-1)
		switch {
		case s == "-":
		case strings.HasPrefix(s, "!"):
			r.Err = &event.DecodeError{Reason: event.ReasonTooLarge}
			fmt.Sscanf(s, "!%d", &source)
		case strings.Contains(s, "/"):
			fmt.Sscanf(s, "%d/%d", &partition, &source)
		default:
			fmt.Sscanf(s, "%d", &source)
		}
		if source >= 0 {
			place := uint64(source)<<16 | 8<<12 | uint64(partition)
			id := fmt.Sprintf("%08x-%04x-%04x-8000-000000000000", place>>32, place>>16&0xffff, place&0xffff)
			r.Headers = []event.Header{
				{Key: "ce_id", Value: []byte(id)},
				{Key: "ce_source", Value: []byte(event.JournalSource("coupon.requests", partition))},
			}
		}
		records = append(records, r)
	}
	return records
}

func TestUnseen(t *testing.T) {
	tests := []struct {
		name    string
		highest int64
		records string
		want    string
		after   int64
	}{
		{"nothing", 4, "", "", 4},
		{"first ever", NoSource, "0 1 2", "0 1 2", 2},
		{"in order", 4, "5 7 9", "5 7 9", 9},
		{"the highest again", 9, "9 10", "10", 10},
		{"all known", 9, "5 7 9", "", 9},
		{"a late batch in between", 4, "5 9 5 6 9 10", "5 9 10", 10},
		{"without a source", 4, "- 5 - 5 -", "- 5 - -", 5},
		{"of another partition", 9, "1/3 1/20 10", "1/3 1/20 10", 10},
		{"unreadable", 9, "!5 10 !5", "!5 10 !5", 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kept, after := Unseen(facts(tt.records), tt.highest)
			var values []string
			for _, r := range kept {
				values = append(values, string(r.Value))
			}
			if have := strings.Join(values, " "); have != tt.want || after != tt.after {
				t.Errorf("kept %q, highest %d; want %q, %d", have, after, tt.want, tt.after)
			}
		})
	}
}

func TestHighest_survivesTheMetadata(t *testing.T) {
	for _, highest := range []int64{NoSource, 0, 1, 1<<48 - 1} {
		if have := parseHighest(OffsetMetadata(highest)); have != highest {
			t.Errorf("%d became %d", highest, have)
		}
	}
	if have := parseHighest("source=12 newer=x"); have != 12 {
		t.Errorf("a newer version's 12 became %d", have)
	}
	for _, foreign := range []string{"", "source=", "source= 3", "source=-3", "source=x", "12", "source=99999999999999999999"} {
		if have := parseHighest(foreign); have != NoSource {
			t.Errorf("%q became %d", foreign, have)
		}
	}
}

// Whatever somebody's tool has put beside a group's offset, it is a source or none.
func FuzzParseHighest(f *testing.F) {
	for _, metadata := range []string{"", "source=12", "source=12 newer=x", "source=-3", "source=99999999999999999999", "1 41:5:9 7 40 -1"} {
		f.Add(metadata)
	}
	f.Fuzz(func(t *testing.T, metadata string) {
		highest := parseHighest(metadata)
		if highest < NoSource || highest != NoSource && !strings.HasPrefix(metadata, highestPrefix) {
			t.Errorf("%q became %d", metadata, highest)
		}
		if have := parseHighest(OffsetMetadata(highest)); have != highest {
			t.Errorf("%d became %d", highest, have)
		}
	})
}
