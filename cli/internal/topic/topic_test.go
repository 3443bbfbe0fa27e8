package topic

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

func TestEnsure(t *testing.T) {
	servers := coupontest.Start(t, coupontest.Kafka)
	client := servers.Kafka(t)
	cfg := client.Config()
	ensure := func(specs []broker.TopicSpec) []Outcome {
		t.Helper()
		outcomes, err := Ensure(t.Context(), client, specs)
		if err != nil || len(outcomes) != 3 {
			t.Fatalf("got %v, %v", outcomes, err)
		}
		return outcomes
	}
	for _, o := range ensure(Specs(cfg, 6, 1)) {
		if !o.Created || !strings.HasPrefix(o.Topic, servers.TopicPrefix) {
			t.Errorf("got %q, want it created with the prefix", o)
		}
	}
	for _, o := range ensure(Specs(cfg, 6, 1)) {
		if o.Created || len(o.Differs) > 0 {
			t.Errorf("got %q, want it to exist as it should be", o)
		}
	}
	requests, err := client.Topic(t.Context(), cfg.Topic("coupon.requests"))
	if err != nil || requests.Partitions != 6 || !requests.LogAppendTime {
		t.Errorf("got %+v, %v: the broker's clock decides", requests, err)
	}
	other := Specs(cfg, 8, 1)
	other[0].Config["retention.ms"] = "1"
	got := ensure(other)[0].String()
	want := cfg.Topic("coupon.requests") + ": exists, but it has 6 partitions, not 8, retention.ms is 604800000, not 1"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSpecs_ThreeBrokers(t *testing.T) {
	for replication, want := range map[int]string{1: "1", 2: "1", 3: "2"} {
		for _, spec := range Specs(broker.Config{}, 12, replication) {
			if spec.Replication != replication || spec.Config["min.insync.replicas"] != want {
				t.Errorf("%s with %d replicas: min.insync.replicas %s, want %s", spec.Name, replication, spec.Config["min.insync.replicas"], want)
			}
		}
	}
}

func TestReplication(t *testing.T) {
	client := coupontest.Start(t, coupontest.Kafka).Kafka(t)
	if n, err := Replication(t.Context(), client); err != nil || n != 1 {
		t.Errorf("got %d, %v, want one: there is one broker", n, err)
	}
}

// What docs/asyncapi.yaml says about the topics is how they are made, where there are three brokers.
func TestSpecs_AsInAsyncAPI(t *testing.T) {
	page, err := os.ReadFile("../../../docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range Specs(broker.Config{}, 12, 3) {
		_, channel, _ := strings.Cut(string(page), "address: "+spec.Name+"\n")
		channel, _, found := strings.Cut(channel, "bindingVersion")
		if !found {
			t.Errorf("%s is no channel there", spec.Name)
		}
		spec.Config["cleanup.policy"] = "[" + spec.Config["cleanup.policy"] + "]" // a list there
		lines := []string{fmt.Sprintf("partitions: %d", spec.Partitions), fmt.Sprintf("replicas: %d", spec.Replication)}
		for name, value := range spec.Config {
			lines = append(lines, name+": "+value)
		}
		for _, line := range lines {
			if !strings.Contains(channel, " "+line+"\n") {
				t.Errorf("%s: no line %q", spec.Name, line)
			}
		}
	}
}
