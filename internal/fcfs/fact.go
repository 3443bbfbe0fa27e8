package fcfs

// Source is the place of the request that a journal record came from. A request leads to at most one journal record.
type Source struct {
	Partition int32
	Offset    int64
}

// Fact is what one request led to, as the journal and the outbox hold it: exactly one of Defined and Granted is set.
type Fact struct {
	Source                     Source
	CorrelationID, TraceParent string // of the request, "" where it had none
	RequestedAt                Millis // append time of the request
	LogTime                    Millis // highest append time up to the source: a rebuild would not know it otherwise
	Defined                    *Definition
	Granted                    *GrantFact
}

// GrantFact is a grant: Window is "" or a day, Limit the one in force then. The grant whose sequence equals its limit is
// the one that exhausted the coupon.
type GrantFact struct {
	CouponID, UserID, Window string
	Sequence, Limit          int64
}

// Entry is a person's place in a window: the sequence, and the offset of the claim that was granted.
type Entry struct{ Sequence, Offset int64 }
