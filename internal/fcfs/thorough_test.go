//go:build !race

package fcfs

import "testing"

// thorough tells whether the long searches are to be done in full. They have no concurrency in them, so the race detector,
// which would take ten times as long over them, sees their short form.
func thorough() bool { return !testing.Short() }
