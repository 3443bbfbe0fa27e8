package coupontest_test

import (
	"os"
	osexec "os/exec"
	"strings"
	"testing"

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
	if err == nil || !strings.Contains(out, "REDIS_ADDR is not set") || !strings.Contains(out, "DATABASE_URL is not set") {
		t.Fatalf("%v\n%s", err, out)
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
