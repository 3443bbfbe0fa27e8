package partition

import (
	"errors"
	"fmt"
	"time"
)

// ErrRejoin ends a loop that found the store further than itself: another owner applied the very same log, so the group
// has to say who owns the partition.
var ErrRejoin = errors.New("another owner has moved progress")

// Config says how much a partition may have under way; the zero value is fine.
type Config struct {
	Partition   int32
	MaxBatch    int           // records decided by one call; default 1000. Redis answers nobody else meanwhile.
	MaxInFlight int           // batches given to the store and not answered; default 4
	MaxBuffered int           // records fetched and not decided, beyond which nothing is fetched; default 8000
	MaxWaiting  int           // facts that the journal has not acknowledged, beyond which deciding pauses; default 50,000
	MaxEmit     int           // facts in one produce call; default 4000
	LookEvery   time.Duration // how long the store may be unlooked at while there is nothing to decide; default 1 s
	CommitEvery time.Duration // how old the group's offset may get; default 1 s
	Recheck     time.Duration // how often a partition that stopped reads everything again; default 10 s
	Notice      func(Notice)  // told what happens; may be nil
}

func (c Config) withDefaults() Config {
	number := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	period := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	number(&c.MaxBatch, 1000)
	number(&c.MaxInFlight, 4)
	number(&c.MaxBuffered, 8000)
	number(&c.MaxWaiting, 50_000)
	number(&c.MaxEmit, 4000)
	period(&c.LookEvery, time.Second)
	period(&c.CommitEvery, time.Second)
	period(&c.Recheck, 10*time.Second)
	if c.Notice == nil {
		c.Notice = func(Notice) {}
	}
	return c
}

// Notice is something worth a log line or a count.
type Notice struct {
	Kind   string // see below
	Detail string // a sentence, or empty
	Err    error
	Count  int // records, where Kind speaks of some
}

// Kinds of notices. The first group are sessions: each means that the assignment path is taken (again).
const (
	Assigned      = "assigned"
	Emptied       = "emptied"        // progress is missing
	Rewound       = "rewound"        // progress is lower than where this owner left it
	Raced         = "raced"          // progress moved while everything was read: another owner
	UnknownResult = "unknown_result" // of a call that may have taken effect
	LogMoved      = "log_moved"      // the offset to fetch is not in the log
	Confirm       = "confirm"        // something seems lost: read everything again
	Recheck       = "recheck"        // stopped before: perhaps it was repaired
	Failed        = "failed"         // a call of the assignment path failed

	Rebuilt     = "rebuilt"      // Count facts of the journal were taken into the store
	PassedOver  = "passed_over"  // Count records of the journal were not: Detail names a type that is not known
	Reemitted   = "reemitted"    // Count facts of a former owner are emitted
	Moved       = "moved"        // progress was moved over a gap of refusals
	Stopped     = "stopped"      // see Suspicion
	Resumed     = "resumed"      // after Stopped
	LetterFails = "letter_fails" // the dead letters' topic refuses; the partition waits
	CommitFails = "commit_fails" // tried again
)

// Machine is one owner of one partition. Not safe for concurrent use.
type Machine struct {
	cfg      Config
	now      time.Time
	out      []Action
	queued   []Action // outcomes to be published: true whatever becomes of the session
	number   uint64   // of the session
	s        *session
	over     error
	finished bool
	stopping bool

	// What outlives a session.
	notBefore time.Time // when the next session may begin
	failures  int
	lastErr   error
	tail      Tail              // of the journal, which only ever grows
	doubtful  map[Progress]bool // where batches without an answer may have moved progress
	suspicion Suspicion
	stopped   bool
}

// New is an owner that knows nothing yet.
func New(cfg Config) *Machine {
	m := &Machine{cfg: cfg.withDefaults(), number: 1, s: newSession(), doubtful: map[Progress]bool{}}
	m.notice(Notice{Kind: Assigned})
	return m
}

// Step gives what is to be done now. Call it after Done, and at the latest at Wake.
func (m *Machine) Step(now time.Time) []Action {
	m.now, m.out, m.queued = now, m.queued, nil
	switch {
	case m.Over():
	case m.stopping && len(m.out) == 0 && m.drained():
		m.finished = true
	case m.s.step == stepRunning:
		m.run()
	case m.s.step == stepStopped:
		m.emit()
		if !now.Before(m.s.recheckAt) {
			m.restart(Recheck, nil)
		}
	case !m.stopping && !now.Before(m.notBefore):
		m.assign()
	}
	return m.out
}

// Done takes a result. Those of earlier sessions change nothing: what they did is found where it was done.
func (m *Machine) Done(r Result) {
	if r.Session != m.number || m.Over() {
		return
	}
	if m.s.step == stepRunning || m.s.step == stepStopped {
		m.ran(r)
	} else {
		m.assigned(r)
	}
}

// Wake is when Step has to be called though nothing came: the zero time if that need not be.
func (m *Machine) Wake() time.Time {
	switch {
	case m.Over():
		return time.Time{}
	case m.s.step == stepRunning:
		return m.runWake()
	case m.s.step == stepStopped:
		return m.s.recheckAt
	case !m.s.busy:
		return m.notBefore
	}
	return time.Time{}
}

// Stop ends the loop in order: nothing more is fetched or decided, and what was decided is emitted and committed, if that
// can be had.
func (m *Machine) Stop() { m.stopping = true }

// Over tells that there is nothing more to do, for Err's reason.
func (m *Machine) Over() bool { return m.over != nil || m.finished }

// Err is ErrRejoin, or nil after Stop.
func (m *Machine) Err() error { return m.over }

// Session is the number of the current session: actions of an earlier one may be given up.
func (m *Machine) Session() uint64 { return m.number }

func (m *Machine) do(a Action) {
	a.Session = m.number
	m.out = append(m.out, a)
}

func (m *Machine) notice(n Notice) { m.cfg.Notice(n) }

const (
	firstWait = 50 * time.Millisecond
	longWait  = 2 * time.Second
)

// restart drops all memory of the store and takes the assignment path: at once the first time, then with growing waits
// until something was decided.
func (m *Machine) restart(why string, err error) {
	for _, b := range m.s.chain {
		m.doubtful[b.Next] = true
	}
	wait := time.Duration(0)
	if m.failures > 0 {
		wait = min(firstWait<<min(m.failures-1, 10), longWait)
	}
	m.failures++
	m.lastErr = err
	m.notBefore = m.now.Add(wait)
	m.number++
	m.s = newSession()
	m.notice(Notice{Kind: why, Err: err})
}

// elsewhere is called when the store is not where this owner left it.
func (m *Machine) elsewhere(expected, found Progress) {
	for _, b := range m.s.chain {
		m.doubtful[b.Next] = true // a client may have repeated a call whose answer it lost
	}
	switch {
	case found == Nothing:
		m.restart(Emptied, nil)
	case found.Offset > expected.Offset && m.s.step == stepRunning && !m.doubtful[found]:
		m.over = fmt.Errorf("%w: to %d, from %d", ErrRejoin, found.Offset, expected.Offset)
	case m.doubtful[found]:
		m.restart(UnknownResult, nil)
	case found.Offset > expected.Offset:
		m.restart(Raced, nil)
	default:
		m.restart(Rewound, nil)
	}
}

// Status is how a partition stands.
type Status struct {
	Session  uint64
	Waits    string    // what it waits for before it can decide; empty while it runs
	Stopped  string    // what was lost, and what can be done; empty while nothing was
	Progress Progress  // as last compared
	LogEnd   int64     // next offset to be written, as last heard
	Waiting  int       // facts that the journal has not acknowledged
	Oldest   time.Time // append time of the oldest record that is fetched and not decided
	Err      error     // why the last session ended, if it was a failure
}

// Status tells how the partition stands.
func (m *Machine) Status() Status {
	s := Status{
		Session: m.number, Waits: m.s.step.String(), Progress: m.s.at, LogEnd: m.s.end, Waiting: len(m.s.outbox.facts), Err: m.lastErr,
	}
	if m.stopped {
		s.Stopped = m.suspicion.String()
	}
	switch {
	case len(m.s.chain) > 0:
		s.Oldest = m.s.chain[0].requests[0].Time.Time()
	case m.s.held != nil:
		s.Oldest = m.s.held.requests[0].Time.Time()
	case len(m.s.buffer) > 0:
		s.Oldest = m.s.buffer[0].Time.Time()
	}
	if m.s.held != nil && m.lastErr != nil {
		s.Waits = "the dead letters' topic"
	}
	return s
}
