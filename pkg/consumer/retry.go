package consumer

import (
	"errors"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
)

// Retry says what to do when Handle fails, for other reasons than those that it
// has errors for. The zero value tries again for ever: the partition waits,
// nothing is lost.
//
// A record is known to be what fails once a *RecordError names it, or it was
// handed out alone. A batch that fails Attempts times is therefore cut in two
// again and again, down to the record that fails Attempts times on its own.
type Retry struct {
	// Attempts of a batch, and of a single record, before Then; needed where
	// that is DeadLetter or Stop, and of no use else.
	Attempts int
	// Min and Max are the waits between two attempts: from Min (default 50 ms)
	// doubling to Max (default 1 s, or Min where that is longer), half of it by
	// chance.
	Min, Max time.Duration
	// Then is what happens to a record that has failed for good.
	Then Then
}

// Then is what happens to a record that has failed for good.
type Then int

const (
	// RetryForever keeps the partition waiting for it.
	RetryForever Then = iota
	// DeadLetter passes over it once Config.DeadLetters has it, with reason
	// handler_failed and the handler's error as detail.
	DeadLetter
	// Stop ends Run with a *StopError.
	Stop
)

// StopError is why Run ends where Config.Retry says Stop. Everything before the
// record is committed, if the group can be reached; the record is not: the next
// Run begins with it.
type StopError struct {
	Topic     string
	Partition int32
	Offset    int64 // of the record that failed
	Attempts  int
	Err       error // of the last attempt
}

func (e *StopError) Error() string {
	return fmt.Sprintf("stopped at offset %d of partition %d of topic %s, which failed %d times: %v", e.Offset, e.Partition, e.Topic, e.Attempts, e.Err)
}

// Unwrap gives the cause.
func (e *StopError) Unwrap() error { return e.Err }

// ErrUnhealthy is returned by a Handler whose sink can take nothing now, whatever
// the record: the partition pauses. It stays this process's, no attempt is
// counted, and nothing becomes a dead letter. The same records come again, with
// growing waits; where there is a Config.Healthy, once that says nil.
var ErrUnhealthy = errors.New("the sink is not well")

func (r Retry) problems(letters bool) (problems []error) {
	switch {
	case r.Then < RetryForever || r.Then > Stop:
		problems = append(problems, fmt.Errorf("Retry.Then: %d is none of RetryForever, DeadLetter, Stop", r.Then))
	case r.Attempts < 0:
		problems = append(problems, fmt.Errorf("Retry.Attempts: %d is negative", r.Attempts))
	case r.Then != RetryForever && r.Attempts == 0:
		problems = append(problems, errors.New("Retry.Attempts: missing; say after how many to give up"))
	case r.Then == RetryForever && r.Attempts > 0:
		problems = append(problems, errors.New("Retry.Then: missing; say what comes after the attempts, DeadLetter or Stop"))
	}
	if r.Then == DeadLetter && !letters {
		problems = append(problems, errors.New("DeadLetters: missing; Retry.Then is DeadLetter"))
	}
	if r.Min < 0 || r.Max < 0 || r.Max > 0 && r.Min > r.Max {
		problems = append(problems, fmt.Errorf("Retry.Min and Max: %v to %v is no range of waits", r.Min, r.Max))
	}
	return problems
}

func (r Retry) backoff() broker.Backoff { return broker.Backoff{Min: r.Min, Max: r.Max} }
