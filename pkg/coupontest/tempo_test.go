package coupontest_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

// What docs/testing.md says about speed is what these print:
//
//	COUPONTEST_SERVERS=embedded go test ./pkg/coupontest -run '^$' -bench . -benchtime 20x

// ended is a test that ends with an iteration.
type ended struct {
	testing.TB
	cleanups []func()
}

func (e *ended) Cleanup(step func()) { e.cleanups = append(e.cleanups, step) }

func (e *ended) end() {
	for i := len(e.cleanups) - 1; i >= 0; i-- {
		e.cleanups[i]()
	}
}

// BenchmarkStartAlone is a cold start: the first Start of a test binary takes as long, and StartAlone always does.
func BenchmarkStartAlone(b *testing.B) {
	for b.Loop() {
		e := &ended{TB: b}
		coupontest.StartAlone(e)
		b.StopTimer()
		e.end()
		b.StartTimer()
	}
}

// BenchmarkStart is a test of its own each time, with topics and a database, many side by side; what it made is dropped.
func BenchmarkStart(b *testing.B) {
	coupontest.Start(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e := &ended{TB: b}
			coupontest.Start(e).CreateTopics(e, 12)
			e.end()
		}
	})
	perSecond(b, "tests/s")
}

// BenchmarkPipeline is a Firstcome of its own each time, started, ready and stopped.
func BenchmarkPipeline(b *testing.B) {
	built(b)
	coupontest.Start(b)
	b.ResetTimer()
	for range b.N {
		e := &ended{TB: b}
		coupontest.Pipeline(e)
		e.end()
	}
}

// BenchmarkPipeline_Shared is a coupon of its own each time, on one Firstcome: defined, claimed once, and granted.
func BenchmarkPipeline_Shared(b *testing.B) {
	built(b)
	p := coupontest.Pipeline(b)
	var coupons atomic.Int64
	b.SetParallelism(10)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			coupon := fmt.Sprintf("tea-%d", coupons.Add(1))
			e := &ended{TB: b}
			p.Define(e, coupontest.Coupon(coupon, 1))
			p.Claim(e, coupon, "ada")
			coupontest.RequireExactly(e, p.Grants(e, coupon), coupon, 1)
			e.end()
		}
	})
	perSecond(b, "tests/s")
}

func perSecond(b *testing.B, what string) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), what)
}
