package coupontest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// The servers of this process, and the one who stops them if it can't.
var (
	theReaper = &reaper{}
	shared    = newSet(false)
)

// M is what runs tests: *testing.M.
type M interface{ Run() int }

// Main is for a TestMain: it runs the tests, stops the servers and exits; what can't be stopped makes the tests fail. Tests
// without a TestMain have the reaper stop the servers, just after they have ended and without a word.
func Main(m M) { os.Exit(Wrap(m).Run()) }

// Wrap is Main for a TestMain that does something with the result: Run runs the tests and stops the servers.
func Wrap(m M) M { return stopping{m} }

type stopping struct{ m M }

func (s stopping) Run() int {
	code := s.m.Run()
	if err := errors.Join(shared.close(), theReaper.dismiss()); err != nil {
		fmt.Fprintln(os.Stderr, "coupontest:", err)
		return max(code, 1)
	}
	return code
}

// Describe starts one server of each of the kind that the environment chooses, stops them, and names them and their
// versions in one line.
func Describe(ctx context.Context) (string, error) {
	s := newSet(false)
	_, err := s.start(ctx, []Need{Kafka, Redis, Postgres})
	var versions []string
	if err == nil {
		versions, err = s.versions(ctx)
	}
	if err := errors.Join(err, s.close()); err != nil {
		return "", err
	}
	return strings.Join(versions, ", "), nil
}
