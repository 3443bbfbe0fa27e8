package model

import (
	"fmt"
	"testing"
)

// A claim that was closed when it was asked, by a definition that is not in force any more.
var redefined = []Record{define(1).closes(1), claim(1), claim(2).at(1), define(1), claim(2)}

func newGateway(log []Record, d GatewayDesign, f GatewayFaults) *Gateway {
	return &Gateway{Log: newLog(log...), GatewayDesign: d, GatewayFaults: f, Waits: int8(len(log)) - 1}
}

// What a gateway tells is never contradicted, by the log or by what it or the process before it has told; and whoever
// waits is answered.
func TestModel_Gateway(t *testing.T) {
	for _, log := range [][]Record{raised, lowered, refused, passed, redefined} {
		t.Run(fmt.Sprint(log), func(t *testing.T) {
			holds(t, newGateway(log, GatewayDesign{}, GatewayFaults{Back: 2, Miss: 1, Restart: 1}))
		})
	}
}

func TestModel_GatewayEachLineIsNeeded(t *testing.T) {
	cases := []struct {
		line   string
		log    []Record
		design GatewayDesign
		faults GatewayFaults
	}{
		{"progress is read before the entry", raised, GatewayDesign{ProgressFirst: true}, GatewayFaults{Back: 1}},
		{"the entry is read before progress", raised, GatewayDesign{EntryFirst: true}, GatewayFaults{}},
		{"any entry is already_issued", raised, GatewayDesign{AnyEntry: true}, GatewayFaults{}},
		{"a claim is judged by the newest definition", redefined, GatewayDesign{NewestRules: true}, GatewayFaults{}},
		{"a retired window is judged like any other", passed, GatewayDesign{IgnoreRetired: true}, GatewayFaults{}},
		{"a state older than heard refuses", raised, GatewayDesign{IgnoreHeard: true}, GatewayFaults{Back: 1}},
		{"heard is what the last message said", raised, GatewayDesign{LastHeard: true}, GatewayFaults{Back: 1}},
		{"a gateway that starts has heard nothing", raised, GatewayDesign{DeafAtStart: true}, GatewayFaults{Back: 1, Restart: 1}},
		{"a missing progress means no coupon", raised, GatewayDesign{MissingIsNone: true}, GatewayFaults{Back: 1}},
		{"nobody looks at progress for those in line", raised, GatewayDesign{BusOnly: true}, GatewayFaults{Miss: 1}},
		{"... and they look before they get in line", raised, GatewayDesign{BusOnly: true, LookThenWait: true}, GatewayFaults{}},
	}
	var designs []GatewayDesign
	for _, c := range cases {
		designs = append(designs, c.design)
		t.Run(c.line, func(t *testing.T) {
			breaks(t, newGateway(c.log, c.design, c.faults))
		})
	}
	everySwitch(t, designs)
	t.Run("messages alone do, where none is missed", func(t *testing.T) {
		holds(t, newGateway(raised, GatewayDesign{BusOnly: true}, GatewayFaults{}))
	})
}
