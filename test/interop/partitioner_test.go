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
)

func TestMain(m *testing.M) { coupontest.Main(m) }

const partitions = 6

// What neighbour.py takes and prints.
type (
	wanted struct {
		Attributes map[string]string `json:"attributes"`
		Data       map[string]any    `json:"data"`
	}
	at struct {
		Partition int32 `json:"partition"`
		Offset    int64 `json:"offset"`
	}
	seen struct {
		at
		Timestamp  int64             `json:"timestamp"`
		Attributes map[string]string `json:"attributes"`
		Data       map[string]any    `json:"data"`
	}
)

func defined(coupon string) wanted {
	return wanted{map[string]string{"type": event.TypeCouponDefined, "subject": coupon},
		map[string]any{"coupon_id": coupon, "limit": 2, "window": "daily", "time_zone": "Asia/Seoul", "opens_at": "2026-01-01T09:00:00+09:00"}}
}

func claimed(coupon, user string) wanted {
	return wanted{map[string]string{"type": event.TypeClaimRequested}, map[string]any{"coupon_id": coupon, "user_id": user}}
}

// partedCoupon is one that librdkafka's default partitioner, CRC-32, puts elsewhere than Java's.
func partedCoupon() string {
	for n := 0; ; n++ {
		id := fmt.Sprint("parted-", n)
		if crc(id) != event.Partition(id, partitions) {
			return id
		}
	}
}

func crc(coupon string) int32 { return int32(crc32.ChecksumIEEE([]byte(coupon)) % partitions) }

// TestPartitioner: with murmur2_random a librdkafka client puts each coupon where we look for it; by itself it does not.
func TestPartitioner(t *testing.T) {
	interpreter := python(t)
	servers := coupontest.Start(t, coupontest.Kafka)
	servers.CreateTopics(t, partitions)
	brokers, requests := strings.Join(servers.Brokers, ","), servers.TopicPrefix+event.TopicRequests
	var claims []any
	var ids []string
	for n := range 100 {
		ids = append(ids, fmt.Sprint(strings.Repeat("c", n%7), n))
		claims = append(claims, claimed(ids[n], "지수"))
	}
	ours := neighbour[at](t, interpreter, claims, "produce", brokers, requests, "murmur2_random")
	theirs := neighbour[at](t, interpreter, claims, "produce", brokers, requests)
	differ := 0
	for n, id := range ids {
		if want := event.Partition(id, partitions); ours[n].Partition != want {
			t.Errorf("%s went to %d with murmur2_random, want %d", id, ours[n].Partition, want)
		}
		if theirs[n].Partition != crc(id) {
			t.Errorf("%s went to %d by default, want %d", id, theirs[n].Partition, crc(id))
		}
		if ours[n].Partition != theirs[n].Partition {
			differ++
		}
	}
	if differ == 0 {
		t.Error("no coupon tells the two apart")
	}
	checkDecoded(t, servers, len(claims)*2)
}

// checkDecoded: what the cloudevents package writes, we read.
func checkDecoded(t *testing.T, servers *coupontest.Servers, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	read := 0
	for p := range int32(partitions) {
		f := consumer.NewFetcher(servers.Kafka(t), servers.TopicPrefix+event.TopicRequests, p, consumer.FetchConfig{})
		t.Cleanup(f.Close)
		for next, end := int64(0), int64(1); next < end; {
			got, err := f.Fetch(ctx, next)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range got.Records {
				e, err := event.Decode(r)
				if err != nil {
					t.Fatal(err)
				}
				if c, ok := e.Data.(event.ClaimRequested); !ok || c.UserID != "지수" || e.Source != "/neighbour" || e.Time.IsZero() {
					t.Errorf("read %+v", e)
				}
				read++
			}
			next, end = got.Next, got.End
		}
	}
	if read != want {
		t.Errorf("%d records, want %d", read, want)
	}
}
