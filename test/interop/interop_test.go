//go:build interop

package interop

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/test/issuing"
)

// besides is another coupon of a partition.
func besides(partition int32) string {
	for n := 0; ; n++ {
		if id := fmt.Sprint("besides-", n); event.Partition(id, partitions) == partition {
			return id
		}
	}
}

func TestNeighbour(t *testing.T) {
	interpreter := python(t)
	i := issuing.Start(t, partitions)
	brokers, requests := strings.Join(i.Servers.Brokers, ","), i.Topic(event.TopicRequests)
	coupon := partedCoupon()
	right, wrong := event.Partition(coupon, partitions), crc(coupon)

	places := neighbour[at](t, interpreter, []any{defined(coupon), claimed(coupon, "지수")}, "produce", brokers, requests, "murmur2_random")
	strays := neighbour[at](t, interpreter, []any{claimed(coupon, "stray")}, "produce", brokers, requests)
	// The last one shows in the journal that all before it are decided.
	places = append(places, neighbour[at](t, interpreter,
		[]any{claimed(coupon, "지수"), claimed(coupon, "second"), claimed(coupon, "third"), defined(besides(right))},
		"produce", brokers, requests, "murmur2_random")...)
	for n, place := range places {
		if place != (at{right, int64(n)}) {
			t.Fatalf("record %d went to %+v, want partition %d", n, place, right)
		}
	}
	if len(places) != 6 || len(strays) != 1 || strays[0].Partition != wrong {
		t.Fatalf("places %v, strays %v, want the stray in partition %d", places, strays, wrong)
	}

	t.Run("wrong partition", func(t *testing.T) { checkStray(t, i, strays[0]) })
	t.Run("journal", func(t *testing.T) {
		events := neighbour[seen](t, interpreter, nil, "consume", brokers, i.Topic(event.TopicGrants), "4")
		checkJournal(t, i, events, right)
	})
	t.Run("nothing else", func(t *testing.T) {
		journal := 0
		for p := range int32(partitions) {
			journal += len(i.Tail(t, event.TopicGrants, p).Rest(t))
		}
		letters := i.Tail(t, event.TopicDeadLetters, 0).Rest(t)
		if journal != 4 || len(letters) != 1 {
			t.Errorf("%d journal records, want 4; %d dead letters, want 1", journal, len(letters))
		}
	})
}

func checkStray(t *testing.T, i *issuing.Issuing, stray at) {
	letter := i.Tail(t, event.TopicDeadLetters, 0).Next(t)
	got := issuing.Headers(letter)
	for name, want := range map[string]string{
		"fc_topic": i.Topic(event.TopicRequests), "fc_partition": strconv.Itoa(int(stray.Partition)),
		"fc_offset": strconv.FormatInt(stray.Offset, 10), "fc_reason": string(event.ReasonWrongPartition),
		"ce_type": event.TypeClaimRequested, "ce_source": "/neighbour",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if string(letter.Value) != fmt.Sprintf(`{"coupon_id": %q, "user_id": "stray"}`, letter.Key) {
		t.Errorf("value %s", letter.Value)
	}
}

// checkJournal holds what cloudevents made of the journal: a definition, two grants, and the definition at the end.
func checkJournal(t *testing.T, i *issuing.Issuing, events []seen, partition int32) {
	if len(events) != 4 {
		t.Fatalf("%d events: %+v", len(events), events)
	}
	for n, want := range []struct {
		kind, coupon, user string
		offset             int64 // of the request
	}{
		{event.TypeCouponDefined, partedCoupon(), "", 0},
		{event.TypeCouponGranted, partedCoupon(), "지수", 1},
		{event.TypeCouponGranted, partedCoupon(), "second", 3},
		{event.TypeCouponDefined, besides(partition), "", 5},
	} {
		e, coupon := events[n], want.coupon
		a, source := e.Attributes, map[string]any{"partition": float64(partition), "offset": float64(want.offset)}
		if e.Partition != partition || a["type"] != want.kind || a["subject"] != coupon || a["partitionkey"] != coupon ||
			a["specversion"] != "1.0" || a["datacontenttype"] != "application/json" ||
			a["source"] != fmt.Sprintf("/%s/%d", i.Topic(event.TopicRequests), partition) {
			t.Errorf("event %d is %+v", n, e)
		}
		if e.Data["coupon_id"] != coupon || !reflect.DeepEqual(e.Data["source"], source) || e.Data["limit"] != float64(2) {
			t.Errorf("event %d has %v", n, e.Data)
		}
		checkTimes(t, e)
		if want.kind == event.TypeCouponDefined {
			if e.Data["opens_at"] != "2026-01-01T00:00:00.000Z" || e.Data["rules"] != float64(1) {
				t.Errorf("event %d has %v", n, e.Data)
			}
			continue
		}
		if e.Data["user_id"] != want.user || e.Data["sequence"] != float64(n) || e.Data["grant_id"] != a["id"] {
			t.Errorf("event %d has %v", n, e.Data)
		}
		if day, _ := e.Data["window"].(string); len(day) != len(time.DateOnly) {
			t.Errorf("event %d has window %v", n, e.Data["window"])
		}
	}
}

// checkTimes holds that ce_time and Kafka's timestamp are the append time of the request.
func checkTimes(t *testing.T, e seen) {
	t.Helper()
	requested, err := time.Parse(time.RFC3339, fmt.Sprint(e.Data["requested_at"]))
	if err != nil {
		t.Error(err)
	}
	if ce, err := time.Parse(time.RFC3339, e.Attributes["time"]); err != nil || !ce.Equal(requested) {
		t.Errorf("ce_time %q, requested_at %v: %v", e.Attributes["time"], requested, err)
	}
	if e.Timestamp != requested.UnixMilli() {
		t.Errorf("timestamp %d, requested_at %v", e.Timestamp, requested)
	}
}
