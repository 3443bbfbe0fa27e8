package model

import (
	"maps"
	"slices"
	"testing"
)

// What an owner takes for the journal's highest source is it, though it reads only what is new; and a journal that lost
// what the group's commit speaks of is noticed.
func TestModel_Tail(t *testing.T) {
	t.Run("whole", func(t *testing.T) { holds(t, &Journal{Facts: 3, Records: 5}) })
	t.Run("made anew or cut short", func(t *testing.T) { holds(t, &Journal{Facts: 2, Records: 3, Anew: 1}) })
}

func TestModel_TailEachLineIsNeeded(t *testing.T) {
	lost := Journal{Facts: 2, Records: 3, Anew: 1}
	whole := Journal{Facts: 2, Records: 4}
	cases := []struct {
		line   string
		design JournalDesign
		model  Journal
	}{
		{"a tail is believed without a look", JournalDesign{BelieveMark: true}, lost},
		{"one beyond the journal's end is no loss", JournalDesign{BelieveLonger: true}, lost},
		{"an acknowledgement from below its end is no loss", JournalDesign{TrustAcknowledgement: true}, lost},
		{"it is extended though others wrote between", JournalDesign{AppendAnywhere: true}, whole},
		{"it keeps the last source", JournalDesign{KeepLast: true}, whole},
		{"somebody else's text is taken for a mark", JournalDesign{MarkOfOthers: true}, whole},
	}
	var designs []JournalDesign
	for _, c := range cases {
		designs = append(designs, c.design)
		c.model.JournalDesign = c.design
		t.Run(c.line, func(t *testing.T) { breaks(t, &c.model) })
	}
	everySwitch(t, designs)
}

// Postgres is at every moment what the journal up to its row says, nothing raises a false alarm, and in the end all is there.
func TestModel_Ledger(t *testing.T) {
	t.Run("restored", func(t *testing.T) { holds(t, &Ledger{Restore: 1}) })
	t.Run("an answer lost", func(t *testing.T) { holds(t, &Ledger{Lose: 1}) })
	t.Run("another journal", func(t *testing.T) { holds(t, &Ledger{Anew: 1}) })
	if *whole {
		t.Run("restored twice", func(t *testing.T) { holds(t, &Ledger{Restore: 2, Lose: 1}) })
	}
}

func TestModel_LedgerEachLineIsNeeded(t *testing.T) {
	cases := map[string]LedgerDesign{
		"the transaction does not compare the row":         {NoCompare: true},
		"it compares after it has written":                 {RowsFirst: true},
		"the row is moved by a transaction of its own":     {Apart: true},
		"it begins at the group's offset":                  {FromGroup: true},
		"the highest source is not in the row":             {HighInMemory: true},
		"the highest source is taken from the grants":      {HighFromRows: true},
		"duplicates are dropped by id":                     {DropByID: true},
		"nobody looks at the row while nothing is new":     {NoIdleLook: true},
		"nobody looks whether the journal is the same one": {NoCheck: true},
	}
	everySwitch(t, slices.Collect(maps.Values(cases)))
	for line, d := range cases {
		t.Run(line, func(t *testing.T) {
			m := &Ledger{LedgerDesign: d, Restore: 1}
			if d.NoCheck {
				m.Restore, m.Anew = 0, 1
			}
			breaks(t, m)
		})
	}
}

// A consumer that starts from the group handles every fact, in order, and no duplicate of the journal.
func TestModel_Consumer(t *testing.T) { holds(t, &Consumer{}) }

func TestModel_ConsumerEachLineIsNeeded(t *testing.T) {
	cases := map[string]ConsumerDesign{
		"the highest source is not in the commit":             {NoMetadata: true},
		"it is committed after the offset, by another call":   {CommitApart: true},
		"duplicates are dropped by id":                        {DropByID: true},
		"the highest source moves at a batch's end only":      {ForgetInBatch: true},
		"the offset is committed before the records are done": {CommitFirst: true},
		"the group takes commits from anybody":                {Unfenced: true},
	}
	everySwitch(t, slices.Collect(maps.Values(cases)))
	for line, d := range cases {
		t.Run(line, func(t *testing.T) { breaks(t, &Consumer{ConsumerDesign: d}) })
	}
}
