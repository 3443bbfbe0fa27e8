package model

import (
	"flag"
	"fmt"
	"reflect"
	"slices"
	"testing"
)

// The logs: the limit rises once it is reached; falls below what was granted and rises again; people who ask again; mostly
// refusals; refusals that raise the log time until the coupon is retired; records for the dead letters.
var (
	small   = []Record{define(1), claim(1), claim(2)}
	raised  = []Record{define(1), claim(1), claim(2), define(2), claim(2)}
	lowered = []Record{define(2), claim(1), define(1), claim(2), define(2), claim(3)}
	repeats = []Record{define(2), claim(1), claim(1), claim(2), claim(3)}
	refused = []Record{define(1), claim(1), claim(2), claim(3), claim(2)}
	passed  = []Record{define(2).closes(1), claim(1), stranger().at(3), stranger().at(3), claim(2)}
	damaged = []Record{define(1), damage(), claim(1), damage()}
)

func holds[S comparable](t *testing.T, m Model[S]) {
	t.Helper()
	r := Explore(m)
	t.Log(r)
	if r.Breach != "" {
		t.Error("a promise is broken")
	}
}

// breaks wants a breach: a line of the design that can go without one is decoration.
func breaks[S comparable](t *testing.T, m Model[S]) {
	t.Helper()
	r := Explore(m)
	t.Log(r)
	if r.Breach == "" {
		t.Error("nothing breaks without it")
	}
}

func explore(t *testing.T, check func(*testing.T, Model[issuerState]), log []Record, d Design, f Faults) {
	t.Helper()
	check(t, &Issuer{Log: newLog(log...), Design: d, Faults: f, Batch: 2})
}

// everySwitch wants each line of a design to be taken away by one of these, but for those named.
func everySwitch[D comparable](t *testing.T, designs []D, but ...string) {
	t.Helper()
	off := map[string]bool{}
	for _, d := range designs {
		for i, v := 0, reflect.ValueOf(d); i < v.NumField(); i++ {
			if v.Field(i).Bool() {
				off[v.Type().Field(i).Name] = true
			}
		}
	}
	for i, of := 0, reflect.TypeFor[D](); i < of.NumField(); i++ {
		if name := of.Field(i).Name; !off[name] && !slices.Contains(but, name) {
			t.Errorf("nothing shows that %s is needed", name)
		}
	}
}

// whole is for `make models`: everything that is too much for each change.
var whole = flag.Bool("whole", false, "also explore what takes minutes")

// Whatever happens between two steps, within the bounds: nothing that was promised is broken, and from everywhere the work
// can be finished, or the partition has stopped for a loss.
func TestModel_Issuer(t *testing.T) {
	quick := []Faults{
		{Crash: 1, Steal: 1}, {Steal: 1, Empty: 1}, {Steal: 1, Rewind: 1}, {Crash: 1, Lose: 1}, {Lose: 2}, {Crash: 1, Fail: 1},
		{Crash: 1, Empty: 1, Replace: 1}, {Crash: 1, Empty: 1, Truncate: 3}, {Steal: 1, Truncate: 2}, {Crash: 1, Failover: 1},
	}
	for _, f := range quick {
		t.Run(fmt.Sprintf("small, %v", f), func(t *testing.T) { explore(t, holds, small, Design{}, f) })
	}
	t.Run("dead letters", func(t *testing.T) { explore(t, holds, damaged, Design{}, Faults{Crash: 1, Steal: 1}) })
	if !*whole {
		return
	}
	for _, log := range [][]Record{raised, lowered, repeats, refused, passed} {
		for _, f := range []Faults{
			{Crash: 1, Steal: 1}, {Steal: 1, Empty: 1}, {Crash: 1, Rewind: 1}, {Empty: 1, Rewind: 1}, {Lose: 2},
			{Crash: 1, Empty: 1, Replace: 1}, {Crash: 1, Empty: 1, Truncate: 4},
		} {
			t.Run(fmt.Sprintf("%v, %v", log, f), func(t *testing.T) { explore(t, holds, log, Design{}, f) })
		}
	}
	for _, f := range []Faults{
		{Crash: 2, Steal: 1}, {Crash: 1, Steal: 1, Empty: 1}, {Steal: 1, Empty: 2}, {Steal: 1, Rewind: 1}, {Steal: 1, Lose: 1},
		{Steal: 1, Truncate: 2}, {Crash: 1, Failover: 1},
	} {
		t.Run(fmt.Sprintf("many, %v", f), func(t *testing.T) { explore(t, holds, refused, Design{}, f) })
	}
	for _, f := range []Faults{
		{Crash: 2, Steal: 2}, {Crash: 1, Steal: 1, Empty: 1, Rewind: 1}, {Steal: 1, Empty: 1, Truncate: 3}, {Steal: 1, Rewind: 1, Truncate: 2},
		{Crash: 1, Lose: 1, Empty: 1}, {Steal: 1, Failover: 1}, {Crash: 1, Lose: 1, Truncate: 3}, {Steal: 1, Fail: 1, Empty: 1},
	} {
		t.Run(fmt.Sprintf("small, %v", f), func(t *testing.T) { explore(t, holds, small, Design{}, f) })
	}
}

// Two other readings of the assignment path that hold as well: the code is free to choose between them.
func TestModel_IssuerOtherReadings(t *testing.T) {
	for name, d := range map[string]Design{
		"the journal is applied wherever it is ahead": {RebuildAlways: true},
		"the journal is read before progress":         {JournalFirst: true},
	} {
		t.Run(name, func(t *testing.T) {
			explore(t, holds, small, d, Faults{Crash: 1, Empty: 1, Truncate: 3})
			explore(t, holds, raised, d, Faults{Crash: 1, Rewind: 1})
			explore(t, holds, small, d, Faults{Steal: 1, Empty: 1})
		})
	}
}

// Each line of docs/design.md, "The issuer", taken away.
func TestModel_IssuerEachLineIsNeeded(t *testing.T) {
	cases := []struct {
		line   string // what is done without it
		log    []Record
		design Design
		faults Faults
	}{
		{"the script does not compare progress", raised, Design{NoCompare: true}, Faults{Steal: 1}},
		{"... one owner, Redis rewound", repeats, Design{NoCompare: true}, Faults{Rewind: 1}},
		{"the script writes while it decides", raised, Design{WriteFirst: true}, Faults{Fail: 1}},
		{"a definition stands inside its batch", raised, Design{DefineInside: true}, Faults{}},
		{"dead letters are written after the decision", damaged, Design{LettersLate: true}, Faults{}},
		{"the committed offset is read last", raised, Design{CommitReadLate: true}, Faults{Steal: 1, Empty: 1, Truncate: 2}},
		{"the last record's source counts, not the highest", small, Design{TailLast: true}, Faults{Lose: 1, Empty: 1, Truncate: 3}},
		{"only an empty Redis is rebuilt", raised, Design{RebuildOnlyMissing: true}, Faults{Crash: 1, Empty: 1, Truncate: 3}},
		{"the outbox is not emitted again", raised, Design{ForgetOutbox: true}, Faults{Crash: 1}},
		{"fetching begins at the committed offset", repeats, Design{StartAtCommitted: true}, Faults{Rewind: 1}},
		{"the record at progress is not compared", repeats, Design{NoVerify: true}, Faults{Crash: 1, Replace: 1}},
		{"the outbox is emitted before it is", repeats, Design{EmitUnverified: true}, Faults{Crash: 1, Replace: 1}},
		{"nobody looks whether the log ends before progress", repeats, Design{NoEndCheck: true}, Faults{Crash: 1, Replace: 1}},
		{"a gap that the commit covers stops it", refused, Design{StopAtGap: true}, Faults{Empty: 1, Truncate: 3}},
		{"any gap is skipped", raised, Design{SkipGap: true}, Faults{Crash: 1, Empty: 1, Truncate: 2}},
		{"the commit's mark has no log time", passed, Design{MoveBare: true}, Faults{Empty: 1, Truncate: 4}},
		{"it stops on the first suspicion", small, Design{StopUnconfirmed: true}, Faults{Steal: 1, Truncate: 2}},
		{"it stops where a fetch finds nothing", small, Design{StopAtFetch: true}, Faults{Steal: 1, Truncate: 2}},
		{"who has stopped never looks again", small, Design{NoRecheck: true}, Faults{Steal: 1, Truncate: 2}},
		{"who has stopped keeps the outbox to itself", small, Design{StopMute: true}, Faults{Crash: 1, Truncate: 3}},
		{"what is decided is committed", raised, Design{CommitEarly: true}, Faults{}},
		{"the group takes commits from anybody", refused, Design{CommitUnfenced: true}, Faults{Steal: 1, Empty: 1, Truncate: 3}},
		{"two produce requests are in flight", raised, Design{EmitAhead: true}, Faults{}},
		{"the outbox gives up what is produced", repeats, Design{TrimEarly: true}, Faults{}},
		{"who finds a lower progress keeps its memory", raised, Design{KeepMemory: true}, Faults{Rewind: 1}},
		{"... but for what waits for emission", repeats, Design{KeepMemory: true, ForgetEmission: true}, Faults{Rewind: 1}},
		{"who finds a higher progress leaves for good", raised, Design{StayOut: true}, Faults{Steal: 1}},
		{"who finds its own late call leaves the group", raised, Design{RejoinForOwnCall: true}, Faults{Lose: 1}},
		{"... if it was in its place in between", raised, Design{ForgetDoubts: true}, Faults{Lose: 1}},
		{"nobody looks at progress while nothing is asked", repeats, Design{NoIdleLook: true}, Faults{Empty: 1}},
	}
	var designs []Design
	for _, c := range cases {
		designs = append(designs, c.design)
		t.Run(c.line, func(t *testing.T) { explore(t, breaks, c.log, c.design, c.faults) })
	}
	everySwitch(t, designs, "RebuildAlways", "JournalFirst")
	t.Run("its memory of definitions does no harm where there is one", func(t *testing.T) {
		explore(t, holds, repeats, Design{KeepMemory: true}, Faults{Rewind: 1})
	})
}
