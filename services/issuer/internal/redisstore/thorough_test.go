//go:build !race

package redisstore_test

import "testing"

// thorough tells whether the long histories are walked in full. They do one thing after another, so the race detector, which
// would take many times as long over them, sees a piece.
func thorough() bool { return !testing.Short() }
