package gateway

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/firstcome/firstcome/internal/fcfs"
)

// BenchmarkDoor is the door alone: many people at once, who pass or are refused.
func BenchmarkDoor(b *testing.B) {
	for name, log := range map[string]*fcfs.Log{"sold out": soldOut(fcfs.WindowNone), "open": open()} {
		b.Run(name, func(b *testing.B) {
			d := newDoor(b)
			d.set(log)
			var n, failed atomic.Int64
			b.SetParallelism(200)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := n.Add(1)
					if _, err := d.store.Admit(b.Context(), knockOf("c", fmt.Sprint("u", i), fmt.Sprint("?", i), 1, historyT)); err != nil {
						failed.Add(1) // a machine that is busy otherwise
					}
				}
			})
			b.ReportMetric(float64(failed.Load()), "failed")
		})
	}
}

func open() *fcfs.Log {
	l := fcfs.NewLog(0)
	l.Define(0, historyT, fcfs.Definition{CouponID: "c", Limit: fcfs.MaxLimit, Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1})
	l.Claim(1, historyT, "c", "winner")
	return l
}
