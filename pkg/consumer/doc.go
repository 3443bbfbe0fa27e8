// Package consumer reads topics, in three layers that can be used apart:
//
//   - Run hands the records of a topic to a Handler, in order, each partition
//     on its own, without the journal's duplicates, starting from the group's
//     offset or from the handler's own store. Each is a Handler that takes them
//     one by one, decoded. RunPartition does that for one partition, over any
//     Log: that of package consumertest, too.
//   - RunGroup says which partitions this process owns, and no more.
//   - A Fetcher reads one partition, and no more.
//
// A paused process still believes that it owns what another has taken over:
// membership never protects an effect. Commits through an Assignment are
// fenced by the group's generation; a Handler with a store of its own fences
// there, by writing the offset in the same transaction.
//
// The page docs/downstream.md is the introduction.
package consumer
