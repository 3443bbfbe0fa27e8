package coupontest

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestChosenKind(t *testing.T) {
	for _, c := range []struct{ servers, require, want string }{
		{"", "", "embedded"},
		{"embedded", "", "embedded"},
		{"containers", "", "containers"},
		{"attach", "", "attached"},
		{"", "containers", "containers"},
		{"embedded", "containers", "embedded"}, // make test runs both, and names each
		{"docker", "", ""},
		{"", "everything", ""},
	} {
		t.Setenv(EnvServers, c.servers)
		t.Setenv("REQUIRE", c.require)
		got, err := chosenKind()
		if got.name != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s=%q REQUIRE=%q: %q, %v; want %q", EnvServers, c.servers, c.require, got.name, err, c.want)
		}
	}
}

// Without an engine a test that should run in containers fails. It is not skipped, and doesn't run on something else.
func TestContainers_WithoutEngine(t *testing.T) {
	before := engine
	engine = func() (string, error) { return "", errors.New("no Docker engine answers: so it is") }
	t.Cleanup(func() { engine = before })
	t.Setenv(EnvServers, "")
	t.Setenv("REQUIRE", "containers")
	s := newSet(false)
	running, err := s.start(t.Context(), []Need{Kafka, Redis, Postgres})
	if err == nil || err.Error() != "containers servers: no Docker engine answers: so it is; start one, or run the tests with COUPONTEST_SERVERS=embedded, which needs none" || len(running) != 0 {
		t.Fatalf("%v, %v", running, err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if line, err := Describe(t.Context()); err == nil {
		t.Errorf("described as %q", line)
	}
}

func TestSet_StartsOnceAndTellsAll(t *testing.T) {
	starts := 0
	s := &set{entries: map[Need]*entry{}, reaper: theReaper, kind: kind{name: "broken", start: map[Need]starter{
		Redis: func(context.Context, *set, string) (*server, error) {
			starts++
			return nil, errors.New("no room")
		},
	}}}
	for range 2 {
		_, err := s.start(t.Context(), []Need{Redis, "cassandra"})
		if err == nil || !strings.Contains(err.Error(), "broken redis: no room") || !strings.Contains(err.Error(), "broken cassandra: no such server") {
			t.Fatal(err)
		}
	}
	if starts != 1 {
		t.Errorf("tried %d times", starts)
	}
}
