//go:build interop

package interop

import (
	"context"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/test/process"
)

func TestMain(m *testing.M) { process.Main(m) }

const partitions = 6

// negative are coupons whose murmur2 is below zero, by Kafka's own UtilsTest.testMurmur2: a partitioner that takes the absolute
// value, or a modulo with a sign, puts them elsewhere.
var negative = []string{"21", "foobar", "a-little-bit-long-string", "a-little-bit-longer-string", "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"}

// crc is where librdkafka's default partitioner puts a coupon.
func crc(coupon string) int32 { return int32(crc32.ChecksumIEEE([]byte(coupon)) % partitions) }

// A claim as a program says that it was appended.
type appended struct {
	CouponID  string `json:"coupon_id"`
	UserID    string `json:"user_id"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// TestPartitioner: each coupon is put where we look for it, and what a program writes we read.
func TestPartitioner(t *testing.T) {
	coupons, differ := negative, 0
	for n := range 100 {
		coupons = append(coupons, fmt.Sprint(strings.Repeat("c", n%7), "-", n))
	}
	for _, id := range coupons {
		if crc(id) != event.Partition(id, partitions) {
			differ++
		}
	}
	if differ < 50 {
		t.Fatalf("%d coupons tell the partitioners apart: too few", differ)
	}
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			command := l.prepare(t)
			servers := coupontest.Start(t, coupontest.Kafka)
			servers.CreateTopics(t, partitions)
			places := run[appended](t, neighbour{command, servers}, append([]string{"claim", "1"}, coupons...)...)
			if len(places) != len(coupons) {
				t.Errorf("%d claims were appended, want %d", len(places), len(coupons))
			}
			for _, place := range places {
				if want := event.Partition(place.CouponID, partitions); place.Partition != want {
					t.Errorf("%s went to %d, want %d", place.CouponID, place.Partition, want)
				}
			}
			checkClaims(t, servers, len(coupons))
		})
	}
}

// checkClaims: what a CloudEvents library writes, we read, with all that was meant.
func checkClaims(t *testing.T, servers *coupontest.Servers, want int) {
	t.Helper()
	found := 0
	for p := range int32(partitions) {
		for _, r := range readAll(t, servers, event.TopicRequests, p) {
			found++
			e, err := event.Decode(r)
			if err != nil {
				t.Fatal(err)
			}
			c, ok := e.Data.(event.ClaimRequested)
			if !ok || c.UserID != "손님-0" || e.Source != "/neighbour" || e.Subject != c.CouponID || e.CorrelationID != c.CouponID+"/0" || time.Since(e.Time).Abs() > time.Hour {
				t.Errorf("read %+v", e)
			}
		}
	}
	if found != want {
		t.Errorf("%d records, want %d", found, want)
	}
}

// readAll is what stands in a partition of a topic, up to the end that it has now.
func readAll(t *testing.T, servers *coupontest.Servers, topic string, partition int32) []event.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f := consumer.NewFetcher(servers.Kafka(t), servers.TopicPrefix+topic, partition, consumer.FetchConfig{MaxWait: 100 * time.Millisecond})
	defer f.Close()
	var all []event.Record
	if _, err := f.ReadToEnd(ctx, 0, func(more []event.Record) error { all = append(all, more...); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}
