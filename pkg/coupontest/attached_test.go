package coupontest_test

import (
	"os"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/coupontest/embedded"
)

// The other tests once more, in a process that attaches to this one's servers, and nothing is left on them.
func TestAttach(t *testing.T) {
	kafka, err := embedded.StartKafka(embedded.KafkaConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	redis, err := embedded.StartRedis("")
	if err != nil {
		t.Fatal(err)
	}
	defer redis.Close()
	database := coupontest.Start(t, coupontest.Postgres).DatabaseURL
	before := databasesOf(t, database)
	out, err := attached(database, kafka.Brokers()[0], redis.Addr(), "-test.run=^(TestStart_.*|TestCreateTopics|TestFlushRedis|TestDatabaseFrom|TestVersions)$")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, ran := range []string{"TestStart_Isolated/c", "TestStart_Tidies", "TestDatabaseFrom"} {
		if !strings.Contains(out, "--- PASS: "+ran) {
			t.Errorf("%s did not run:\n%s", ran, out)
		}
	}
	if after := databasesOf(t, database); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("databases %q before, %q after", before, after)
	}
}

func TestAttach_SaysWhatIsMissing(t *testing.T) {
	out, err := attached("", "127.0.0.1:1", "", "-test.run=^TestStart_Isolated$")
	for _, want := range []string{"nobody answers at KAFKA_BROKERS=127.0.0.1:1: ", "REDIS_ADDR is not set", "DATABASE_URL is not set"} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%v, without %q:\n%s", err, want, out)
		}
	}
}

// Templates live as long as the process, and without Main it doesn't know when that ends.
func TestAttach_WithoutMain(t *testing.T) {
	database := coupontest.Start(t, coupontest.Postgres).DatabaseURL
	before := strings.Join(databasesOf(t, database), " ")
	t.Setenv(endVariable, "bare")
	if out, err := attached(database, "", "", "-test.run=^TestDatabaseFrom$"); err != nil || !strings.Contains(out, "--- PASS") {
		t.Fatalf("%v\n%s", err, out)
	}
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		after := strings.Join(databasesOf(t, database), " ")
		if after == before {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("databases %q before, %q after", before, after)
		case <-tick.C:
		}
	}
}

func attached(database, brokers, redis string, args ...string) (string, error) {
	cmd := osexec.Command(os.Args[0], append(args, "-test.v")...)
	cmd.Env = append(os.Environ(), "COUPONTEST_SERVERS=attach", "KAFKA_BROKERS="+brokers, "REDIS_ADDR="+redis, "DATABASE_URL="+database)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func databasesOf(t *testing.T, databaseURL string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "SELECT datname FROM pg_database ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}
