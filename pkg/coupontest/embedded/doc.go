// Package embedded runs Kafka, Redis and Postgres for one process: for quick tests (package coupontest) and for
// `firstcome local`. Kafka and Redis are fakes inside the process, Postgres is a real one started as a child.
//
// # What survives
//
// Kafka with a Dir keeps topics, records, group offsets and producer state through Close and through kill -9, and can be
// started again on the same port. Redis keeps nothing. Postgres with a Dir keeps everything; where the process that started
// it was killed, Postgres stays behind as an orphan, and the next StartPostgres on that Dir takes over.
//
// # What the fakes can't do
//
// Kafka is kfake, one broker. Idempotent producers, consumer groups, offset metadata, compression, topic settings,
// CreateTopics and DeleteTopics are as with a real one. These are not:
//   - message.timestamp.type=LogAppendTime is recorded and told, but nothing is stamped: records keep the producer's time,
//     and answers to produce requests have no append time. So it is the clocks of the producers that decide here.
//   - There is no second copy of anything: a replication factor is recorded, min.insync.replicas is never refused.
//   - The answer to a batch sent twice has the original offset, but no time.
//   - Retention is applied when it pleases: nothing may rely on old records being gone, or on their being there after it.
//   - No delay of a group's first rebalance, no throttling, no check of timestamps, no errors of single records.
//
// Redis is miniredis: no persistence, no eviction, no memory limit, no cluster; Lua without `bit` and with an `unpack` of
// some 5,000 values at most; no SSUBSCRIBE. Keys do time out, by the clock.
package embedded
