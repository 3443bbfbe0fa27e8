//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/test/process"
)

// An event as a program says that its CloudEvents library read it.
type seen struct {
	Partition  int32             `json:"partition"`
	Offset     int64             `json:"offset"`
	Timestamp  int64             `json:"timestamp"`
	Attributes map[string]string `json:"attributes"`
	Data       map[string]any    `json:"data"`
}

const (
	limit  = 300
	early  = 200  // people who come first
	people = 1000 // all of them, those who have the coupon already among them
	late   = 10   // copies that a former owner's late batch leaves
)

// TestNeighbour: a program of another language defines a coupon, claims it for 1,000 people and follows the journal, over a
// restart with late copies in between. What it saw is what the ledger has, and what the audit finds right.
func TestNeighbour(t *testing.T) {
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			command := l.prepare(t)
			servers := coupontest.Start(t)
			env := process.Environment(servers)
			process.CreateTopics(t, env, partitions)
			issuer, ledger := process.Start(t, "issuer", env), process.Start(t, "ledger", env)
			issuer.WaitReady(t)
			ledger.WaitReady(t)

			n, coupon := neighbour{command, servers}, negative[0]
			partition := event.Partition(coupon, partitions)
			checkPlaces(t, run[appended](t, n, "define", coupon, strconv.Itoa(limit)), 1, partition, 0)
			checkPlaces(t, run[appended](t, n, "claim", strconv.Itoa(early), coupon), early, partition, 1)
			events := run[seen](t, n, "consume", coupon, strconv.Itoa(1+early))
			appendCopies(t, servers, partition)
			checkPlaces(t, run[appended](t, n, "claim", strconv.Itoa(people), coupon), people, partition, 1+early)
			events = append(events, run[seen](t, n, "consume", coupon)...)

			checkEvents(t, servers, coupon, events)
			checkLedger(t, ledger, coupon, events)
			process.Audit(t, env)
			checkNothingElse(t, servers)
		})
	}
}

// checkPlaces: records are in the log in the order in which they were sent, without gap or copy.
func checkPlaces(t *testing.T, places []appended, want int, partition int32, first int64) {
	t.Helper()
	if len(places) != want {
		t.Fatalf("%d records were appended, want %d", len(places), want)
	}
	for n, place := range places {
		if place.Partition != partition || place.Offset != first+int64(n) {
			t.Fatalf("record %d is at %+v, want partition %d, offset %d", n, place, partition, first+int64(n))
		}
		if person := fmt.Sprintf("손님-%d", n); want > 1 && place.UserID != person {
			t.Fatalf("record %d is of %s, want %s", n, place.UserID, person)
		}
	}
}

// appendCopies writes the first records of a journal's partition once more, as a former owner's late batch would.
func appendCopies(t *testing.T, servers *coupontest.Servers, partition int32) {
	t.Helper()
	var copies []kafka.Record
	for _, r := range readAll(t, servers, event.TopicGrants, partition)[:late] {
		c := kafka.Record{Key: kafka.NewBytes(r.Key), Value: kafka.NewBytes(r.Value), Time: r.Time}
		for _, h := range r.Headers {
			c.Headers = append(c.Headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
		copies = append(copies, c)
	}
	res, err := servers.Kafka(t).Kafka().Produce(t.Context(), &kafka.ProduceRequest{Topic: servers.TopicPrefix + event.TopicGrants,
		Partition: int(partition), RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(copies...)})
	if err != nil || res.Error != nil {
		t.Fatal(err, res)
	}
}

// checkEvents holds what the library made of the journal: the definition, and each grant once.
func checkEvents(t *testing.T, servers *coupontest.Servers, coupon string, events []seen) {
	t.Helper()
	if len(events) != 1+limit {
		t.Fatalf("%d events, want a definition and %d grants", len(events), limit)
	}
	partition := event.Partition(coupon, partitions)
	for n, e := range events {
		offset := n // of the request: the definition, and those who came first
		if n > early {
			offset += early // who came first has claimed once more, in vain
		}
		checkMeta(t, servers, coupon, e)
		d := e.Data
		if source := map[string]any{"partition": float64(partition), "offset": float64(offset)}; !reflect.DeepEqual(d["source"], source) || e.Partition != partition {
			t.Errorf("event %d, in partition %d, is of %v, want %v", n, e.Partition, d["source"], source)
		}
		if n == 0 {
			if e.Attributes["type"] != event.TypeCouponDefined || d["opens_at"] != "2026-01-01T00:00:00.000Z" || d["rules"] != 1.0 || e.Attributes["correlationid"] != coupon+"/definition" {
				t.Errorf("the definition is %+v", e)
			}
			continue
		}
		if e.Attributes["type"] != event.TypeCouponGranted || d["user_id"] != fmt.Sprintf("손님-%d", n-1) || d["sequence"] != float64(n) || d["window"] != "" ||
			d["grant_id"] != e.Attributes["id"] || e.Attributes["correlationid"] != fmt.Sprintf("%s/%d", coupon, n-1) {
			t.Errorf("grant %d is %+v", n, e)
		}
	}
}

// checkMeta holds what all records of the journal have; ce_time and Kafka's timestamp are the append time of the request.
func checkMeta(t *testing.T, servers *coupontest.Servers, coupon string, e seen) {
	t.Helper()
	a := e.Attributes
	if a["specversion"] != "1.0" || a["subject"] != coupon || a["datacontenttype"] != "application/json" ||
		a["source"] != event.JournalSource(servers.TopicPrefix+event.TopicRequests, e.Partition) || e.Data["coupon_id"] != coupon || e.Data["limit"] != float64(limit) {
		t.Errorf("event %+v", e)
	}
	requested, err := time.Parse(time.RFC3339, fmt.Sprint(e.Data["requested_at"]))
	if err != nil {
		t.Error(err)
	}
	if ce, err := time.Parse(time.RFC3339, a["time"]); err != nil || !ce.Equal(requested) || e.Timestamp != requested.UnixMilli() {
		t.Errorf("ce_time %q, timestamp %d, requested_at %v: %v", a["time"], e.Timestamp, requested, err)
	}
}

// checkLedger: the grants that the program saw are the ledger's rows, member by member.
func checkLedger(t *testing.T, ledger *process.Process, coupon string, events []seen) {
	t.Helper()
	var page struct{ Grants []map[string]any }
	process.Eventually(t, func() bool {
		status, body := process.Get(t, ledger.Public+"/v1/grants?limit=1000&coupon_id="+coupon, process.ReadSecret)
		return status == http.StatusOK && json.Unmarshal([]byte(body), &page) == nil && len(page.Grants) >= limit
	}, func() string { return fmt.Sprintf("the ledger has %d grants", len(page.Grants)) })
	if len(page.Grants) != limit {
		t.Fatalf("the ledger has %d grants, want %d", len(page.Grants), limit)
	}
	for n, row := range page.Grants {
		if !reflect.DeepEqual(row, events[1+n].Data) {
			t.Errorf("the ledger has %v\nthe program saw %v", row, events[1+n].Data)
		}
	}
}

func checkNothingElse(t *testing.T, servers *coupontest.Servers) {
	t.Helper()
	journal := 0
	for p := range int32(partitions) {
		journal += len(readAll(t, servers, event.TopicGrants, p))
	}
	letters := readAll(t, servers, event.TopicDeadLetters, 0)
	if journal != 1+limit+late || len(letters) != 0 {
		t.Errorf("%d journal records, want %d; %d dead letters, want none", journal, 1+limit+late, len(letters))
	}
}

// TestPython_Golden: the golden records, as both interfaces of the cloudevents package read them.
func TestPython_Golden(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), python(t), "-B", "-m", "unittest")
	cmd.Dir = "../../examples/python"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
