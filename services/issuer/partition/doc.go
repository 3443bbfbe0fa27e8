// Package partition is the loop of one partition of the requests log, as a step function: what to do next follows from
// what was done so far, and from nothing else. No goroutine, no clock, no driver.
//
//	for !m.Over() {
//		for _, action := range m.Step(clock.Now()) {
//			go func() { results <- partition.Do(ctx, ports, action) }()
//		}
//		m.Done(<-results) // or nothing until m.Wake()
//	}
//
// Actions of one Step may run side by side, and their results may come in any order; only Decide actions must reach the
// store in the order in which they were given out. So the same code runs in the service, where each action is a
// goroutine's work, and in a simulation, which chooses what happens when, what fails, and what fails after it took
// effect.
//
// All that a Machine knows is memory of one owner: it is dropped (a new session begins) whenever a call's result is not
// known, the store is found elsewhere than expected, or the log has moved away below. What is true stands in the log, the
// store and the journal, and the assignment path reads it again: the committed offset; progress and outbox; the journal to
// its end. See docs/design.md, "The issuer"; the models beside it say why each step stands where it does.
package partition
