// Package simulation plays the whole pipeline in one process, as often as wanted, with everything going wrong that can: the
// production code of the issuers' loop, its recovery and its records, of pkg/consumer, of the ledger's posting and of the
// gateways' verdicts, over a requests log, a journal, a Redis and a Postgres in memory. A seed decides everything, so a run
// that fails can be played again, and shortened.
//
//	go test -v ./test/simulation -run 'TestSimulation$' -timeout 1h -seeds 20000
//	go test -v ./test/simulation -run 'TestSimulation$' -seed 5615      # this one, with its trace
//
// # How a run goes
//
// A World takes turns. In each, the scheduler does one thing: it lets one I/O happen that some process waits for (a call),
// brings an answer, lets a second pass, lets people ask, or lets a disaster happen (see disasters). What it chooses follows
// from the turn's own seed. A call may fail before or after it took effect, or end its process before or after; those of issuers
// may also take effect late, or in part. After the last turn nothing goes wrong any more, and everything has to be done within 200 seconds of the
// processes' clock: decided, in the journal, committed, in Postgres, handled downstream; or the partition has stopped, for
// something that was truly lost. TestSimulation also fails where too little of what is interesting happened.
//
// An issuer is a partition.Machine for each partition, stepped by the scheduler. Ledgers and downstream consumers are
// goroutines in consumer.RunPartition, which do nothing but wait in a call until the scheduler lets it happen; the clock is
// that of a synctest bubble, and goes on by whole seconds, of which the production code's jitter sees nothing.
//
// # What is compared
//
// The dumb model (partitiontest, fcfs.Log) knows at each append what has to come of it. At every moment: what Redis holds at
// its progress, that every decided fact is in the journal or the outbox, that each journal record is the next fact or a
// duplicate with the same bytes, that no commit covers what is not done, that downstream gets each fact once and in order, and
// each answer a gateway gives. At the end: the journal's grants against a second set of rules in words of its own
// (rules.go), the limits, people and order of the journal alone, Redis, the dead letters, Postgres, and all answers given.
//
// # What is not here
//
// The Lua script and the SQL: their own tests compare them with the models that stand for them here. The wire: fetching and
// decoding of batches, idempotent producing, the group's protocol. What a gateway does before the append: guards, idempotency
// keys, early refusals. A topic that was made anew, and a journal that was cut: partitiontest's scenarios have them. The
// operator's other way out of a stop, to give requests up.
//
// # How to read a trace
//
// Each line has the number of its turn, and says what happened: who ("issuer 2"), in which partition ("p0"), and what. A
// call is there when it takes effect, not when it was asked for. "decide 4:…:… -> 7:…:…" takes progress from offset 4 to 7;
// "fails before it took effect", "takes effect, and the answer is lost" and so on say what became of it. "appended" lines tell
// in brackets what the model expects of that record. The last line of a run that failed begins with BREACH. A run that was
// shrunk has turns left out, and some in which nothing may go wrong; the numbers are those of the turns that are left.
package simulation
