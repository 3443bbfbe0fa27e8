package coupontest_test

import (
	"fmt"
	"runtime"
	"testing"
)

// recording is a test that is expected to fail.
type recording struct {
	testing.TB
	said string
}

func (r *recording) Helper() {}

func (r *recording) Fatal(args ...any) { r.fail(fmt.Sprint(args...)) }

func (r *recording) Fatalf(format string, args ...any) { r.fail(fmt.Sprintf(format, args...)) }

func (r *recording) fail(said string) {
	r.said = said
	runtime.Goexit()
}

// failure runs what should fail a test, and returns what it said; "" if it didn't.
func failure(t *testing.T, run func(testing.TB)) string {
	t.Helper()
	r := &recording{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(r)
	}()
	<-done
	return r.said
}
