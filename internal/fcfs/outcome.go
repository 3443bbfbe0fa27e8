package fcfs

// Outcome is what the log decided about one request. The numbers travel in the outcomes channel: never renumber them.
type Outcome byte

const (
	None          Outcome = 0 // no decision: the log has no record there
	Granted       Outcome = 1
	AlreadyIssued Outcome = 2
	SoldOut       Outcome = 3
	NotOpen       Outcome = 4
	Closed        Outcome = 5
	UnknownCoupon Outcome = 6
	Invalid       Outcome = 7 // a record that cannot be read or does not belong
	Created       Outcome = 8
	Changed       Outcome = 9
	Conflict      Outcome = 10
	Retired       Outcome = 11
)

var outcomeNames = [...]string{
	None:          "none",
	Granted:       "granted",
	AlreadyIssued: "already_issued",
	SoldOut:       "sold_out",
	NotOpen:       "not_open",
	Closed:        "closed",
	UnknownCoupon: "unknown_coupon",
	Invalid:       "invalid",
	Created:       "created",
	Changed:       "changed",
	Conflict:      "conflict",
	Retired:       "retired",
}

// Valid tells whether o is one of the outcomes above.
func (o Outcome) Valid() bool { return int(o) < len(outcomeNames) }

// String gives the outcome as answers and logs show it: "granted", "already_issued".
func (o Outcome) String() string {
	if !o.Valid() {
		return "outcome(?)"
	}
	return outcomeNames[o]
}

// ParseOutcome is the inverse of String.
func ParseOutcome(name string) (Outcome, bool) {
	for o, n := range outcomeNames {
		if n == name {
			return Outcome(o), true
		}
	}
	return None, false
}
