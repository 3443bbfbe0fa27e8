package coupontest

import (
	"testing"

	"go.uber.org/goleak"
)

// A test that checks for goroutines it left must not find ours.
func TestSet_CloseLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s := newSet(false)
	if s.kind.name == "attached" {
		return // none of it is ours
	}
	s.alone = true // through proxies
	if _, err := s.start(t.Context(), []Need{Kafka, Redis, Postgres}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.versions(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before)
}
