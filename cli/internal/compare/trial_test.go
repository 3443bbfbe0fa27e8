package compare

import (
	"context"
	"slices"
	"testing"
)

// As in a test: the first fatal error ends it, others do not, and what was registered is called last first, whatever happens.
func TestTry(t *testing.T) {
	var called []string
	got := try(t.Context(), func(t *trial) {
		t.Cleanup(func() { called = append(called, "first") })
		t.Cleanup(func() {
			t.Cleanup(func() { called = append(called, "within") })
			called = append(called, "second")
			t.Fatalf("while cleaning up")
		})
		t.Errorf("one %d", 1)
		t.Fatalf("two")
		t.Errorf("three")
	})
	if want := []string{"one 1", "two", "while cleaning up"}; !slices.Equal(got, want) {
		t.Errorf("errors %q, want %q", got, want)
	}
	if want := []string{"second", "within", "first"}; !slices.Equal(called, want) {
		t.Errorf("called %q, want %q", called, want)
	}
}

// Who is interrupted is woken up by the end of what it waits for.
func TestTry_Interrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan struct{})
	got := try(ctx, func(t *trial) {
		t.Cleanup(func() { close(ended) })
		interrupt()
		<-ended
		t.Cleanup(func() { t.Errorf("called at once") })
		t.Errorf("noticed")
	})
	slices.Sort(got) // what is registered while it ends may be called a moment later
	if want := []string{"called at once", "noticed"}; !slices.Equal(got, want) {
		t.Errorf("errors %q, want %q", got, want)
	}
}
