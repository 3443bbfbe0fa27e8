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
// Kafka is kfake, one broker. It honours message.timestamp.type=LogAppendTime, idempotent producers, consumer groups,
// offset metadata, compression, CreateTime and DeleteRecords. It doesn't: replicate (a replication factor is recorded, no
// second copy exists; min.insync.replicas is never refused), delay the first rebalance of a group, throttle, check the
// range of timestamps, or refuse a record that is bad inside a good batch. Retention is applied only to topics and at
// moments of its own choosing, so nothing may rely on old records being gone.
//
// Redis is miniredis: no persistence, no eviction, no cluster; Lua without cjson.decode limits of the real one, without
// `bit` and with an `unpack` of some 5,000 values; no SSUBSCRIBE. Time-outs of keys do run.
package embedded
