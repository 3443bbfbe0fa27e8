// Package chaos breaks a whole system while people ask: two gateways, two issuers and two ledgers as processes, Kafka, Redis
// and Postgres in containers. Each round one fault, or two at once, strikes at a random moment under open-loop load; then all
// is well again, and everything is compared: by `firstcome audit`, and by a second judge of this package, which reads the log
// with the pure rules and holds the journal, Postgres and each answer against it.
//
// The tests that need servers are built with the tag chaos only (make chaos ROUNDS=100, make chaos-timed, make
// chaos-brokers, make ramp). A seed decides everything that is random; time does not ask it, so a replayed round has the same faults
// with the same waits, and not the same interleaving.
package chaos
