package model

import (
	"maps"
	"slices"
	"testing"
)

// alphabet is every record of a coupon X (which closes early or late, or is a new one each day) and two people, at three
// times; and what of another coupon Y can matter to it.
func alphabet() (all []purityRecord) {
	for _, at := range []int8{0, 2, 6} {
		for _, r := range []Record{define(1).closes(1), define(1).closes(9), define(1).closes(9).daily(), claim(1), claim(2)} {
			all = append(all, purityRecord{r.at(at), 0})
		}
		for _, r := range []Record{define(1).closes(1), claim(1)} {
			all = append(all, purityRecord{r.at(at), 1})
		}
	}
	return all
}

func TestModel_Purity(t *testing.T) {
	longest := 5
	if !*whole {
		longest = 4
	}
	log, bad, tried := Purity{}.Search(alphabet(), longest)
	t.Log(tried, "logs")
	if bad != "" {
		t.Error(log, bad)
	}
}

func TestModel_PurityEachLineIsNeeded(t *testing.T) {
	cases := map[string]Purity{
		"a window is frozen once a claim was decided":         {FrozenByClaim: true},
		"a retired coupon may come back":                      {ReviveRetired: true},
		"log time is not in the journal":                      {ForgetLogTime: true},
		"what is retired follows from each record's own time": {RetireByOwnTime: true},
	}
	everySwitch(t, slices.Collect(maps.Values(cases)))
	for line, p := range cases {
		t.Run(line, func(t *testing.T) {
			log, bad, tried := p.Search(alphabet(), 5)
			t.Logf("after %d logs %v: %s", tried, log, bad)
			if bad == "" {
				t.Error("nothing breaks without it")
			}
		})
	}
}

// The rules of rules.go in words of their own, over every log of up to five records: never one grant too many, never one
// too few, in the order of the log, nobody twice; and the journal alone gives the state again.
func TestModel_Rules(t *testing.T) {
	records := []Record{define(1), define(2), define(2).daily(), claim(1), claim(2), claim(3), stranger()}
	var grow func(log []Record)
	grow = func(log []Record) {
		checkRules(t, log)
		for _, r := range records {
			if len(log) < 5 {
				grow(append(log[:len(log):len(log)], r))
			}
		}
	}
	grow(nil)
}

func checkRules(t *testing.T, log []Record) {
	l := newLog(log...)
	limit, granted, has := int8(0), int8(0), map[int8]bool{}
	for i, r := range log {
		switch {
		case r.kind == aDefinition && l.outcomes[i] == Changed:
			limit = r.limit
		case r.kind == aClaim:
			want := !has[r.user] && granted < limit
			if got := l.outcomes[i] == Granted; got != want {
				t.Fatalf("%v: offset %d is granted: %v", log, i, got)
			}
			if want {
				granted++
				has[r.user] = true
			}
		}
	}
	c := Coupon{}
	for _, f := range l.facts {
		c = l.restore(c, f)
		if c != l.states[f.source+1] {
			t.Fatalf("%v: the journal up to source %d gives %+v, the log %+v", log, f.source, c, l.states[f.source+1])
		}
	}
}
