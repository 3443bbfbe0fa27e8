package partition

import "testing"

func TestParseMark(t *testing.T) {
	mark := commitMark{Progress: Progress{Offset: 41, AppendTime: 5, LogTime: 9}, Tail: Tail{Next: 7, Highest: 40, Last: -1}}
	if got, ok := parseMark(Committed{Offset: 42, Metadata: mark.String()}); !ok || got != mark {
		t.Errorf("%q is read as %+v, %v", mark.String(), got, ok)
	}
	for name, c := range map[string]Committed{
		"none":                       {Offset: 42},
		"somebody's tool":            {Offset: 42, Metadata: "reset by hand"},
		"of another offset":          {Offset: 43, Metadata: mark.String()},
		"of another version":         {Offset: 42, Metadata: "2" + mark.String()[1:]},
		"more":                       {Offset: 42, Metadata: mark.String() + " 1"},
		"a number written otherwise": {Offset: 42, Metadata: "1 41:5:9 07 40 -1"},
		"no number":                  {Offset: 42, Metadata: "1 41:5:9 7 x -1"},
		"progress written otherwise": {Offset: 42, Metadata: "1 41:05:9 7 40 -1"},
	} {
		if got, ok := parseMark(c); ok || got != (commitMark{}) {
			t.Errorf("%s: read as %+v", name, got)
		}
	}
}

// Whatever somebody's tool has put beside a group's offset, only what this program wrote for it is believed.
func FuzzParseMark(f *testing.F) {
	f.Add(int64(42), "1 41:5:9 7 40 -1")
	f.Add(int64(0), "1 -1:0:0 0 -1 -1")
	f.Add(int64(42), "1 41:5:9 99999999999999999999 40 -1")
	f.Add(int64(42), "1 41:5:9 7 40 -1 x")
	f.Fuzz(func(t *testing.T, offset int64, metadata string) {
		mark, ok := parseMark(Committed{Offset: offset, Metadata: metadata})
		if ok && (mark.String() != metadata || mark.Progress.Offset != offset-1) || !ok && mark != (commitMark{}) {
			t.Errorf("%q of offset %d is read as %+v, %v", metadata, offset, mark, ok)
		}
	})
}
