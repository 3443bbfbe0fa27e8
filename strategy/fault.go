package strategy

import "errors"

// Fault is a way in which giving out coupons goes wrong.
type Fault string

// The faults.
const (
	OverIssue  Fault = "over-issue"  // more people have one than the limit says
	UnderIssue Fault = "under-issue" // somebody was refused, and a coupon is left
	Duplicate  Fault = "duplicate"   // one person was given more than one
	Inversion  Fault = "inversion"   // somebody was refused, and somebody who came later has one
	Untrue     Fault = "untrue"      // somebody was told that they have one, and does not; or that all are gone, and has one
	Lost       Fault = "lost"        // a claim was accepted, and is never decided
	Forgotten  Fault = "forgotten"   // Redis came back empty, and nobody knows who has one
)

// Page names a strategy and the faults that its page owns up to. strategytest sees to it that each can be shown, and that no
// other occurs.
type Page struct {
	Name  string
	Fails []Fault
}

// Pages are all strategies, by the names that commands and tables use.
func Pages() []Page {
	return []Page{
		{"script", []Fault{Forgotten}},
		{"recheck", []Fault{OverIssue, UnderIssue, Inversion, Untrue, Forgotten}},
		{"queue", []Fault{Forgotten}},
		{"queue-plain", []Fault{OverIssue, Inversion, Lost, Forgotten}},
		{"lock", []Fault{Inversion, Forgotten}},
		{"lock-plain", []Fault{OverIssue, UnderIssue, Inversion, Forgotten}},
		{"postgres", []Fault{Inversion}},
		{"log", nil},
	}
}

// Sale is what is known of a coupon when everybody has been answered.
type Sale struct {
	Limit   int64
	Issued  []string // whom the strategy lists
	Told    []Told   // every answer that anybody was given; of a Decider, each person's Result at the end
	Arrived []string // everybody, in the order in which their first commands came to the server; nil where nobody saw it
}

// Told is one answer: the error is nil, or one of this package.
type Told struct {
	UserID string
	Answer Answer
	Err    error
}

// Count counts the faults of a sale; those that did not occur are absent. Forgotten is not among them: that is counted by who
// empties the Redis.
func Count(s Sale) map[Fault]int {
	people := tally(s)
	listed := make(map[string]bool)
	for _, user := range s.Issued {
		listed[user] = true
	}
	faults := map[Fault]int{
		OverIssue:  people.have(listed) - int(s.Limit),
		Duplicate:  len(s.Issued) - len(listed),
		UnderIssue: min(int(s.Limit)-len(listed), people.refused(listed)),
		Inversion:  overtaken(s.Arrived, listed, people),
	}
	for user, p := range people.by {
		faults[Duplicate] += max(0, p.issued-1)
		if p.says && !listed[user] || p.gone && !p.says && listed[user] {
			faults[Untrue]++
		}
		if p.waits && !listed[user] {
			faults[Lost]++
		}
	}
	for fault, n := range faults {
		if n <= 0 {
			delete(faults, fault)
		}
	}
	return faults
}

// person is what one person was told.
type person struct {
	issued int  // how often they were given one
	says   bool // they were told that they have one
	gone   bool // they were told that all are gone, or that there are none
	waits  bool // their claim was accepted, and that is the last that is known
}

type people struct{ by map[string]person }

func tally(s Sale) people {
	all := people{by: make(map[string]person)}
	for _, told := range s.Told {
		p := all.by[told.UserID]
		switch {
		case told.Err == nil && told.Answer == Issued:
			p.issued++
			p.says = true
		case errors.Is(told.Err, ErrAlreadyIssued):
			p.says = true
		case errors.Is(told.Err, ErrExhausted), errors.Is(told.Err, ErrCouponNotFound):
			p.gone = true
		case told.Err == nil, errors.Is(told.Err, ErrNoClaim):
			p.waits = true
		}
		all.by[told.UserID] = p
	}
	return all
}

// have counts who is listed, and who was given one and is not.
func (p people) have(listed map[string]bool) int {
	n := len(listed)
	for user, one := range p.by {
		if one.issued > 0 && !listed[user] {
			n++
		}
	}
	return n
}

// refused counts who was told that all are gone, and has none.
func (p people) refused(listed map[string]bool) (n int) {
	for user, one := range p.by {
		if one.gone && !listed[user] {
			n++
		}
	}
	return n
}

// overtaken counts who was refused though somebody behind them has one.
func overtaken(arrived []string, listed map[string]bool, all people) (n int) {
	last := -1
	for i, user := range arrived {
		if listed[user] {
			last = i
		}
	}
	for _, user := range arrived[:last+1] {
		if all.by[user].gone && !listed[user] {
			n++
		}
	}
	return n
}
