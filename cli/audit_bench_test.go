//go:build unix

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/cli/internal/audit"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// One operation is one grant: -benchtime 1000000x audits a million, in a process of its own whose memory is measured. The
// floor reads the same servers and compares nothing.
func BenchmarkAudit(b *testing.B) {
	servers := coupontest.Start(b)
	servers.CreateTopics(b, 1)
	grantAll(b, servers, b.N)
	b.ResetTimer()
	report, used := auditProcess(b, servers)
	b.StopTimer()
	if !report.OK || report.Compared.Grants != b.N {
		b.Fatalf("%+v", report)
	}
	floor := auditFloor(b, servers)
	b.ReportMetric(float64(used.SysUsage().(*syscall.Rusage).Maxrss)/1024, "peak-MiB")
	b.ReportMetric((used.UserTime() + used.SystemTime()).Seconds(), "cpu-s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "grants/s")
	b.ReportMetric(b.Elapsed().Seconds()/floor.Seconds(), "x-floor")
	b.ReportMetric(0, "ns/op")
}

// grantAll lets the pipeline grant so many coupons to as many people.
func grantAll(b *testing.B, servers *coupontest.Servers, people int) {
	b.Helper()
	local := startLocal(b, b.TempDir(), servers.Env(), "--kafka", strings.Join(servers.Brokers, ","), "--redis", servers.RedisAddr, "--postgres", servers.DatabaseURL)
	client := servers.Kafka(b)
	p, err := producer.New(producer.Config{Client: client, Topic: client.Config().Topic(event.TopicRequests)})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = p.Close(context.Background()) }() // all was acknowledged
	publish := func(messages ...event.Message) {
		b.Helper()
		if _, err := p.PublishTo(b.Context(), 0, messages...); err != nil {
			b.Fatal(err)
		}
	}
	meta := event.Meta{Source: "/firstcome/gateway", CorrelationID: "0123456789abcdef0123456789abcdef"}
	define, err := event.CouponDefined{CouponID: "tea", Limit: int64(people), Window: "none", TimeZone: "UTC"}.Message(meta)
	if err != nil {
		b.Fatal(err)
	}
	publish(define)
	var batch []event.Message
	for i := range people {
		m, err := event.ClaimRequested{CouponID: "tea", UserID: fmt.Sprintf("person-%012d", i)}.Message(meta)
		if err != nil {
			b.Fatal(err)
		}
		if batch = append(batch, m); len(batch) == 5000 || i == people-1 {
			publish(batch...)
			batch = batch[:0]
		}
	}
	db, err := pgx.Connect(b.Context(), servers.DatabaseURL)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close(context.Background()) }()
	eventually(b, "all are granted", func() bool {
		var granted int
		err := db.QueryRow(b.Context(), `SELECT coalesce(sum(granted), 0) FROM coupon_windows`).Scan(&granted)
		return err == nil && granted == people
	})
	local.stop()
}

func auditProcess(b *testing.B, servers *coupontest.Servers) (report audit.Report, used *os.ProcessState) {
	b.Helper()
	cmd := exec.Command(firstcome, "audit", "--json")
	cmd.Env = append(os.Environ(), servers.Env()...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%v: %s%s", err, out, said.String())
	}
	if err := json.Unmarshal(out, &report); err != nil {
		b.Fatal(err)
	}
	return report, cmd.ProcessState
}

func auditFloor(b *testing.B, servers *coupontest.Servers) time.Duration {
	b.Helper()
	began := time.Now()
	client := servers.Kafka(b)
	for _, topic := range []string{event.TopicRequests, event.TopicGrants} {
		f := consumer.NewFetcher(client, client.Config().Topic(topic), 0, consumer.FetchConfig{})
		_, err := f.ReadToEnd(b.Context(), 0, func([]event.Record) error { return nil })
		f.Close()
		if err != nil {
			b.Fatal(err)
		}
	}
	db, err := pgx.Connect(b.Context(), servers.DatabaseURL)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close(context.Background()) }()
	rows, err := db.Query(b.Context(), `SELECT * FROM grants ORDER BY source_partition, source_offset`)
	if err != nil {
		b.Fatal(err)
	}
	for rows.Next() {
	}
	if rows.Err() != nil {
		b.Fatal(rows.Err())
	}
	people := servers.Redis(b).HScan(b.Context(), redislayout.New(servers.RedisPrefix, 0).Granted("tea", ""), 0, "", 1000).Iterator()
	for people.Next(b.Context()) {
	}
	if people.Err() != nil {
		b.Fatal(people.Err())
	}
	return time.Since(began)
}
