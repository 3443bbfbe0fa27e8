package compare

import "github.com/firstcome/firstcome/strategy"

// how and why are the pages of the strategies in short.
var how = map[string]string{
	floorName:     "INCR, and nothing else: the least that a shop's server can do for a person.",
	"script":      "One call of a Lua script checks, adds and counts.",
	"recheck":     "SCARD < limit, SADD, SCARD again, SREM when over.",
	"queue":       "LPUSH at the door and “accepted” at once; one worker moves claims to a list of its own (LMOVE) and decides the oldest there.",
	"queue-plain": "The same with RPOP.",
	"lock":        "A lock with a lease of 1 s, and a fence: Redis takes no write of a former holder.",
	"lock-plain":  "The same without the fence.",
	"postgres":    "A conditional UPDATE and a unique constraint, in one statement.",
	"log":         "The pipeline, over the HTTP of gateway and ledger: a log in Kafka decides, and Redis and Postgres follow it.",
}

const (
	forgets = "Redis is all it has: one that comes back empty knows nobody, and whoever defines the coupon anew gives it to the same people again."
	noOrder = "Who waits for the lock waits in no order."
)

var why = map[string]map[strategy.Fault]string{
	"script": {strategy.Forgotten: forgets},
	"recheck": {
		strategy.OverIssue:  "A server that dies between SADD and SREM leaves its person in the set.",
		strategy.UnderIssue: "Racers for the last one all add themselves, all count too many, and all step back.",
		strategy.Inversion:  "Whoever comes after such a race gets the one that was refused to the racers.",
		strategy.Untrue:     "A second request between the SADD and the SREM of the first is told that the person has one.",
		strategy.Forgotten:  forgets,
	},
	"queue": {strategy.Forgotten: forgets},
	"queue-plain": {
		strategy.OverIssue: "A second worker beside the first counts at the same time, and both issue the last one.",
		strategy.Inversion: "Whose claim was lost asks again, behind those who have been given theirs.",
		strategy.Lost:      "RPOP takes the claim out of Redis, and it dies with the worker.",
		strategy.Forgotten: forgets,
	},
	"lock": {strategy.Inversion: noOrder, strategy.Forgotten: forgets},
	"lock-plain": {
		strategy.OverIssue:  "A holder that stands still for longer than its lease goes on writing beside the next one.",
		strategy.UnderIssue: "A server that dies between DECR and SADD has taken one that nobody has.",
		strategy.Inversion:  noOrder,
		strategy.Forgotten:  forgets,
	},
	"postgres": {strategy.Inversion: "A statement that is at the server first need not get the row first."},
}
