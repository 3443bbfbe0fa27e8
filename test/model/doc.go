// Package model holds explicit-state models of the pipeline of one partition: what docs/design.md promises, checked in
// every state that can be reached within small bounds. Nothing is sampled. They are models, not the code: test/simulation
// runs the code. Each model takes the design's lines as switches, zero being the design, so that the same model is checked
// twice: as it is, where nothing may break; and with one line taken away, where something must (TestModel_…EachLineIsNeeded).
// No line is decoration. Whoever changes a rule changes it here first, sees what breaks, and then builds it.
//
//	go test -v ./test/model -run TestModel_Issuer          the design holds: states, steps, depth
//	go test -v ./test/model -run EachLineIsNeeded          what breaks without each line, with a shortest trace in words
//	go test ./test/model -whole                            also long logs, and many faults at once (make models)
//
// # How to read one
//
// A model (engine.go) has a first state, the steps out of a state, what is bad in a state or about a step, and which states
// are good ends. Explore goes through all states breadth first, so a breach comes with a shortest trace; and from every
// state a good one has to be reachable without further faults: the partition is never stuck in silence.
//
// # How they fit together
//
// issuer.go shows, with tail.go for what it takes for granted about the journal's end: (1) Redis at progress p is what the
// log up to p leads to, on every master, log time included; (2) every fact up to progress is in the journal or in the
// outbox; (3) what lands in the journal is runs of facts that begin at or below the first missing one; (4) the group's
// offset covers only what is in the journal. gateway.go builds on (1), ledger.go and consumer.go on (3), and purity.go shows
// why there is such a thing as "what the log leads to", whatever was rebuilt in between.
//
// # Which step mirrors which function
//
//	the model                        the code
//	issuer_assign.go assign          services/issuer/partition/assign.go: assign, assigned
//	  bounded, begin                   bounded, begin
//	  restoreFacts                     rebuild, readFacts, restored; restore.lua
//	  moveOver                         move (with tail.go's commitMark); restore.lua
//	  verified                         run.go: verified
//	  suspect, stop, recheck           suspicion.go: suspect; machine.go: Step
//	issuer_run.go run                run.go: run
//	  fetch, letter, look, commit      fetch and fetched, writeLetters, look, commit
//	  emission, produce                emit, emitted; session.go: outbox
//	  compare, elsewhere               decide.lua and restore.lua: their first lines; machine.go: elsewhere
//	  trim                             decide.lua: "What the outbox can give up"
//	  life, assigned, ends             pkg/consumer/group.go: RunGroup, keep
//	issuer_decide.go decideBatch     prepare.go: prepare, decided; decide.lua; run.go: answered
//	  lose, pipelined                  machine.go: restart (doubtful); ../loop.go: decide
//	tail.go read, emit, commit       assign.go: chooseTail, readTail; tail.go: appended, String, parseMark
//	ledger.go begin, handle, idle    services/ledger/posting/handler.go: Assigned, Handle, Idle; ../internal/postgres/write.go: Write
//	consumer.go handle, commit       pkg/consumer/partition.go: begin, handle; read.go: Unseen; commit.go: commit
//	gateway.go judge, verdict        services/gateway/verdict/verdict.go: Judge
//	  hear, progressed, restart        watch.go: heard, progressed; partitions.go: Hear, loadPartitions
//	  door, coupon, await              desk.lua: call.admit; coupon.go: read; answer.go: await
//	rules.go, purity.go              internal/fcfs: Log, Admit, Grant, Redefine
//
// # What may happen, at any point between two single reads, writes and calls
//
// An issuer is killed and begins again; the group gives the partition on while its owner is only paused, which then goes on
// for as long as it likes; a script's answer is lost, and the call took effect, arrives later or never, with the next one
// behind it; acknowledgements are lost; produced facts of sessions that ended land late, in part, or never; Redis is emptied,
// rewound to any state it had, or failed over to a replica that lags while the old master lives on; a script fails in its
// middle; retention drops requests, decided or not; the requests topic is made anew; the journal loses records that the
// group's commit speaks of; Postgres is restored, a transaction's answer is lost, the journal is another; messages are late,
// lost, out of order; a gateway begins again. Batches are of one or two, chosen anew each time.
//
// # What is left out
//
// Several partitions: they share nothing. Keys that Redis loses one by one: the scripts refuse a slot without progress that
// holds anything else. An offset that an operator sets by hand: it gives requests up for good, as it says. Guards and
// idempotency keys of the gateway: they spare the log duplicates, and promise nothing. A journal that loses records which no
// commit speaks of yet, or whose place others fill with exactly as many: nobody could notice. Pausing while too much waits
// for the journal. Where Redis loses its state while a paused owner reads everything for the second time, it may stop for a
// loss that there was not (see falseAlarm); it says so, reads everything again, and goes on.
package model
