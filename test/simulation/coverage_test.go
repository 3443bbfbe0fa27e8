package simulation

import (
	"strings"
	"testing"
)

// common is what has to happen at least so often in a thousand runs: a tame scheduler would prove nothing.
var common = []struct {
	what  string
	least int
}{
	{"outcome: granted", 4000}, {"outcome: already_issued", 2000}, {"outcome: sold_out", 2000}, {"outcome: not_open", 300},
	{"outcome: closed", 1000}, {"outcome: unknown_coupon", 1000}, {"outcome: invalid", 800}, {"outcome: created", 2000},
	{"outcome: changed", 2000}, {"outcome: conflict", 800}, {"outcome: retired", 200},
	{"told: none", 5000}, {"told: granted", 800}, {"told: already_issued", 300}, {"told: sold_out", 300}, {"told: not_open", 80},
	{"told: closed", 100}, {"told: unknown_coupon", 500}, {"told: created", 800}, {"told: changed", 400}, {"told: conflict", 100}, {"told: retired", 200},

	{"crash: issuer", 400}, {"crash: ledger", 300}, {"crash: downstream", 250}, {"crash: gateway", 300},
	{"pause: issuer", 200}, {"pause: ledger", 150}, {"pause: downstream", 150},
	{"hand-over: issuer", 200}, {"hand-over: ledger", 200}, {"hand-over: downstream", 200},
	{"stop in order: issuer", 60}, {"stop in order: ledger", 50}, {"stop in order: downstream", 50},
	{"Redis emptied", 400}, {"Redis rewound", 1000}, {"Postgres restored", 500}, {"clock stepped back", 300}, {"truncated", 300},
	{"the journal refuses", 100}, {"the dead letters' topic refuses", 40},
	{"fails before", 500}, {"fails after", 500}, {"crashes before", 150}, {"crashes after", 150}, {"lands late", 300}, {"lands in part", 8}, {"late", 300},

	{"notice: emptied", 300}, {"notice: rewound", 80}, {"notice: raced", 60}, {"notice: unknown_result", 400}, {"notice: failed", 300},
	{"notice: rebuilt", 400}, {"notice: reemitted", 300}, {"notice: moved", 15}, {"notice: confirm", 50}, {"notice: stopped", 30}, {"notice: resumed", 2}, {"notice: log_moved", 5},
	{"notice: letter_fails", 50}, {"notice: commit_fails", 200}, {"rebuild interrupted", 30}, {"found higher progress", 12},
	{"duplicate in the journal", 60}, {"the ledger's row has moved", 120}, {"commit fenced", 500}, {"handled again", 100}, {"newer record in the journal", 100}, {"notice: passed_over", 10},
	{"a transaction is ended", 20},
}

// covered holds that everything interesting happened.
func covered(t *testing.T, seen map[string]int, seeds int) {
	t.Helper()
	sums := map[string]int{}
	for what, n := range seen {
		sums[what] += n
		if kind, _, ok := strings.Cut(what, ": "); ok {
			sums[kind] += n
		}
	}
	for _, c := range common {
		if need := c.least * seeds / 1000; sums[c.what] < need {
			t.Errorf("%q happened %d times in %d runs, and should at least %d times: the scheduler is too tame", c.what, sums[c.what], seeds, need)
		}
	}
}
