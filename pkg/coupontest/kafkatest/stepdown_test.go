package kafkatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/consumer"
)

// logged is a log that a test reads.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// warnings are its lines that are more than information.
func (l *logged) warnings() (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if !strings.Contains(line, "level=INFO") {
			lines = append(lines, line)
		}
	}
	return lines
}

// However a member learns that the group has gone on without it, and by however many of its partitions: it says so in one
// line, and joins again.
func TestRunGroup_stepsDownInOneLine(t *testing.T) {
	t.Parallel()
	const partitions = 4
	for name, oust := range map[string]func(p place, owners *sync.WaitGroup, a *consumer.Assignment) error{
		"owners notice": func(_ place, owners *sync.WaitGroup, a *consumer.Assignment) error {
			owners.Done()
			owners.Wait() // all at once
			return fmt.Errorf("%w: partition %d is another's", consumer.ErrRejoin, a.Partition())
		},
		"the group notices": func(p place, _ *sync.WaitGroup, a *consumer.Assignment) error {
			if a.Partition() != 0 {
				return nil
			}
			return p.expel(context.Background())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, partitions, nil)
			var log logged
			cfg := p.groupConfig()
			cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
			var owners sync.WaitGroup
			owners.Add(partitions)
			runs := make(chan int32, 2*partitions)
			ctx, leave := context.WithCancel(soon(t))
			done := make(chan error, 1)
			var mu sync.Mutex
			seen := map[int32]int{}
			go func() {
				done <- consumer.RunGroup(ctx, cfg, func(ctx context.Context, a *consumer.Assignment) error {
					mu.Lock()
					seen[a.Partition()]++
					first := seen[a.Partition()] == 1
					mu.Unlock()
					if first {
						return oust(p, &owners, a)
					}
					runs <- a.Partition()
					return nil
				})
			}()
			for range partitions {
				select {
				case <-runs:
				case err := <-done:
					t.Fatal(err)
				}
			}
			leave()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			var steps []string
			for _, line := range log.warnings() {
				if !strings.Contains(line, "joining the group failed") { // a coordinator that has just begun, before the first join
					steps = append(steps, line)
				}
			}
			if len(steps) != 1 || !strings.Contains(steps[0], "stepped down") {
				t.Errorf("it says %q", steps)
			}
		})
	}
}

// expel removes the group's only member, as the broker does with one that was silent for too long.
func (p place) expel(ctx context.Context) error {
	group := p.groupConfig().GroupID
	described, err := p.Client.Kafka().DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return err
	}
	var members []kafka.LeaveGroupRequestMember
	for _, m := range described.Groups[0].Members {
		members = append(members, kafka.LeaveGroupRequestMember{ID: m.MemberID})
	}
	if len(members) != 1 {
		return fmt.Errorf("the group has %d members", len(members))
	}
	left, err := p.Client.Kafka().LeaveGroup(ctx, &kafka.LeaveGroupRequest{GroupID: group, Members: members})
	if err != nil {
		return err
	}
	return left.Error
}

// A member that lost its connections joins as another. It does not wait for the one that it was, whose session would last
// for longer than this test.
func TestRunGroup_joinsAgainWithoutWaitingForItself(t *testing.T) {
	t.Parallel()
	p, rough := newPlace(t, 2, nil).roughly(t)
	var log logged
	cfg := p.groupConfig()
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	cfg.SessionTimeout, cfg.RebalanceTimeout = 2*time.Minute, 2*time.Minute
	ctx, leave := context.WithCancel(soon(t))
	done := make(chan error, 1)
	owned := make(chan int32, 8)
	go func() {
		done <- consumer.RunGroup(ctx, cfg, func(_ context.Context, a *consumer.Assignment) error {
			owned <- a.Partition()
			return nil
		})
	}()
	for tenure := range 2 {
		for range 2 {
			select {
			case <-owned:
			case <-ctx.Done():
				t.Fatalf("it owns nothing, the time of %d before: %q", tenure, log.warnings())
			}
		}
		if tenure == 0 {
			known := len(log.warnings())
			rough.one.Store(1) // every read and write fails
			if err := eventually(ctx, func() error {
				if len(log.warnings()) == known {
					return errors.New("it does not notice that Kafka is away")
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			rough.one.Store(0)
		}
	}
	leave()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
