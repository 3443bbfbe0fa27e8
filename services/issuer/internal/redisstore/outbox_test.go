package redisstore

import (
	"testing"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

func someElement() string {
	var e encoder
	d := definitionPiece(fcfs.Fact{
		Source: fcfs.Source{Offset: 9}, RequestedAt: 5, LogTime: 9, CorrelationID: "x",
		Defined: &fcfs.Definition{CouponID: "c", Limit: 1, Window: "none", TimeZone: "UTC", Rules: 1},
	})
	c := partition.Claim{Offset: 7, Time: 5, LogTime: 6, UserID: "u\n:"}
	g := e.header(&partition.Group{Window: partition.Window{CouponID: "c", Day: "2027-01-15"}, Limit: 3})
	return "9:5:9\n" + g + "1:1:" + e.piece(&c) + c.UserID + d
}

func TestDecodeElement(t *testing.T) {
	got, err := decodeElement(3, someElement())
	if err != nil {
		t.Fatal(err)
	}
	if got.Progress.Offset != 9 || len(got.Facts) != 2 {
		t.Fatalf("%+v", got)
	}
	g, d := got.Facts[0], got.Facts[1]
	if g.Source != (fcfs.Source{Partition: 3, Offset: 7}) || *g.Granted != (fcfs.GrantFact{CouponID: "c", UserID: "u\n:", Window: "2027-01-15", Sequence: 2, Limit: 3}) || g.LogTime != 6 {
		t.Errorf("grant %+v %+v", g, g.Granted)
	}
	if d.Source.Offset != 9 || d.Defined.CouponID != "c" || d.CorrelationID != "x" || d.LogTime != 9 {
		t.Errorf("definition %+v", d)
	}
	whole := someElement()
	for cut := range len(whole) {
		if _, err := decodeElement(3, whole[:cut]); err == nil && cut != len(whole)-len(definitionPieceOf(whole)) {
			t.Errorf("cut at %d it is read", cut)
		}
	}
}

// definitionPieceOf is the end of an element: without it the rest is whole.
func definitionPieceOf(element string) string {
	for i := range element {
		if element[i] == 'd' && len(element) > i+2 && element[i+1:i+3] == "9:" {
			return element[i:]
		}
	}
	return ""
}

// Redis may hold anything: an element that cannot be read is an error, never a panic and never much memory.
func FuzzDecodeElement(f *testing.F) {
	f.Add(someElement())
	f.Add("1:2:3\ng\x01c\x00\x050:99999999999999999:")
	f.Add("1:2:3\nd7:\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Fuzz(func(t *testing.T, element string) {
		d, err := decodeElement(0, element)
		if err == nil && len(d.Facts) == 0 {
			t.Error("an element without facts")
		}
	})
}
