package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/pkg/event"
)

// BenchmarkWrite writes batches of a busy coupon, and the same rows by COPY alone into a table with the same indexes. The
// ratio is what comparing the row, the sums and the transaction cost: the rates of both are the machine's.
func BenchmarkWrite(b *testing.B) {
	for _, size := range []int64{10, 1_000, 10_000} {
		b.Run(fmt.Sprintf("%d grants", size), func(b *testing.B) {
			s := newStore(b)
			if _, err := s.write.Exec(b.Context(), `CREATE TABLE bare (LIKE grants INCLUDING ALL)`); err != nil {
				b.Fatal(err)
			}
			at := begin(b, s, 0)
			var ours, bare time.Duration
			for n := int64(0); b.Loop(); n++ {
				grants := make([]event.CouponGranted, size)
				for i := range grants {
					offset := n*size + int64(i)
					grants[i] = grant(0, offset, "tea", fmt.Sprintf("user-%015d", offset*7919%1e9), "", offset+1)
				}
				began := time.Now()
				at = write(b, s, batch(0, at, nil, grants...))
				ours += time.Since(began)
				began = time.Now()
				if _, err := s.write.CopyFrom(b.Context(), pgx.Identifier{"bare"}, grantColumns, newGrantRows(grants)); err != nil {
					b.Fatal(err)
				}
				bare += time.Since(began)
			}
			rows := float64(int64(b.N) * size)
			b.ReportMetric(rows/ours.Seconds(), "rows/s")
			b.ReportMetric(rows/bare.Seconds(), "COPY-rows/s")
			b.ReportMetric(bare.Seconds()/ours.Seconds(), "ratio")
		})
	}
}
