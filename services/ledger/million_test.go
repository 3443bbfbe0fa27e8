package ledger

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	runtimemetrics "runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/telemetry"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

var downloadRows = flag.Int("rows", 50_000, "grants of the coupon that is downloaded")

// All grants of a coupon, in any form, cost a bounded amount of memory however many they are and however slowly they are
// read: what was not read yet is not there.
func TestAPI_DownloadInBoundedMemory(t *testing.T) {
	url := migrated(t, coupontest.Start(t, coupontest.Postgres))
	many(t, url, *downloadRows)
	for _, suffix := range []string{"csv", "ndjson"} {
		t.Run(suffix, func(t *testing.T) {
			counted := &countedStore{store: openStore(t, url)}
			a := &api{store: counted, anonymous: true, log: quiet, page: downloadPage}
			reader, writer := io.Pipe() // no buffers between: who writes waits for who reads
			done := make(chan struct{})
			begin := heap()
			go func() {
				defer close(done)
				defer writer.Close()
				r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/coupons/tea/grants."+suffix, nil)
				a.handler(telemetry.NewHTTPMetrics(prometheus.NewRegistry(), "ledger")).ServeHTTP(&pipeAnswer{Writer: writer, header: http.Header{}}, r)
			}()
			lines, peak, bytes := 0, begin, 0
			for in := bufio.NewScanner(reader); in.Scan(); lines++ {
				bytes += len(in.Bytes()) + 1
				if lines%1000 == 0 {
					peak = max(peak, heap())
					if ahead := counted.rows.Load() - int64(lines); ahead > 2*downloadPage {
						t.Fatalf("%d rows were read before anybody wanted them", ahead)
					}
				}
			}
			<-done
			if want := *downloadRows + strings.Count(suffix, "csv"); lines != want {
				t.Errorf("%d lines, want %d", lines, want)
			}
			const most = 64 << 20
			t.Logf("%d rows, %d MiB: at most %.1f MiB more than before", *downloadRows, bytes>>20, float64(peak-begin)/(1<<20))
			if peak > begin+most {
				t.Errorf("the heap grew from %d to %d MiB", begin>>20, peak>>20)
			}
		})
	}
}

// heap is what lies on it now, garbage included.
func heap() uint64 {
	sample := []runtimemetrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtimemetrics.Read(sample)
	return sample[0].Value.Uint64()
}

// pipeAnswer is an answer whose reader is the test.
type pipeAnswer struct {
	io.Writer
	header http.Header
}

func (p *pipeAnswer) Header() http.Header { return p.header }
func (p *pipeAnswer) WriteHeader(int)     {}

// countedStore counts the rows that were asked for.
type countedStore struct {
	store
	rows atomic.Int64
}

func (c *countedStore) Grants(ctx context.Context, f postgres.Filter) ([]event.CouponGranted, error) {
	rows, err := c.store.Grants(ctx, f)
	c.rows.Add(int64(len(rows)))
	return rows, err
}

// many are that many grants of one coupon, made inside Postgres.
func many(t *testing.T, url string, rows int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range []string{
		`INSERT INTO definitions VALUES (0, 0, 'tea', 100000000, 'none', 'UTC', null, null, 1, now(), now())`,
		fmt.Sprintf(`INSERT INTO grants SELECT 0, n, (lpad(to_hex(n), 12, '0') || '80008000000000000000')::uuid, 'tea', 'user-' || n, '', n, 100000000, now(), now() FROM generate_series(1, %d) n`, rows),
		`INSERT INTO coupon_windows SELECT 'tea', '', count(*), now(), now() FROM grants`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(errors.Join(err, errors.New(sql)))
		}
	}
	runtime.GC()
}
