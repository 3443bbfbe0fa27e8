package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// Store is one partition's part of Redis. Safe for concurrent use.
type Store struct {
	redis     redis.UniversalClient
	keys      redislayout.Keys
	partition int32
}

var _ partition.Store = (*Store)(nil)

const page = 500

// progressValue is what the scripts compare: "" where the key is missing.
func progressValue(p partition.Progress) string {
	if p == partition.Nothing {
		return ""
	}
	return p.String()
}

func parseProgress(value string) (partition.Progress, error) {
	if value == "" {
		return partition.Nothing, nil
	}
	p, err := redislayout.ParseProgress(value)
	if err == nil && p.Offset < 0 {
		err = fmt.Errorf("progress %q has no offset", value)
	}
	return p, err
}

// Load gives progress and outbox.
func (s *Store) Load(ctx context.Context) (partition.Loaded, error) {
	answer, err := loadScript.run(ctx, s.redis, call{keys: []string{s.keys.Progress(), s.keys.Outbox()}}).Slice()
	if err != nil {
		return partition.Loaded{}, fmt.Errorf("loading progress: %w", err)
	}
	var loaded partition.Loaded
	value, _ := answer[0].(string)
	if loaded.Progress, err = parseProgress(value); err != nil {
		return partition.Loaded{}, err
	}
	elements, _ := answer[1].([]any)
	for _, e := range elements {
		text, _ := e.(string)
		decided, err := decodeElement(s.partition, text)
		if err != nil {
			return partition.Loaded{}, fmt.Errorf("outbox: %w", err)
		}
		loaded.Outbox = append(loaded.Outbox, decided)
	}
	return loaded, nil
}

// Definitions gives a page of coupons, in two calls that both compare progress.
func (s *Store) Definitions(ctx context.Context, expected partition.Progress, after string) (partition.Definitions, error) {
	c := call{keys: []string{s.keys.Progress(), s.keys.Coupons()}, args: []any{progressValue(expected), after, page}}
	var d partition.Definitions
	answer, err := s.definitions(ctx, c, &d)
	if err != nil || d.Found != expected {
		return d, err
	}
	list, _ := answer[0].([]any)
	if len(list) == 0 {
		return d, nil
	}
	ids := make([]string, len(list))
	for i := range list {
		ids[i], _ = list[i].(string)
		c.key(s.keys.Coupon(ids[i]))
	}
	answer, err = s.definitions(ctx, c, &d)
	if err != nil || d.Found != expected {
		return d, err
	}
	if len(answer) != 2*len(ids) {
		return d, fmt.Errorf("%d definitions for %d coupons", len(answer)/2, len(ids))
	}
	for i, id := range ids {
		value, _ := answer[2*i].(string)
		count, _ := answer[2*i+1].(string)
		defined, err := decodeDefined(id, value, count)
		if err != nil {
			return d, err
		}
		d.Coupons = append(d.Coupons, defined)
	}
	return d, nil
}

// definitions gives what stands after the progress found.
func (s *Store) definitions(ctx context.Context, c call, d *partition.Definitions) ([]any, error) {
	answer, err := definitionsScript.run(ctx, s.redis, c).Slice()
	if err != nil {
		return nil, fmt.Errorf("loading definitions: %w", err)
	}
	value, _ := answer[0].(string)
	d.Found, err = parseProgress(value)
	return answer[1:], err
}

func decodeDefined(id, value, count string) (partition.Defined, error) {
	definition, err := redislayout.DecodeDefinition(id, value)
	if err != nil {
		return partition.Defined{}, err
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		return partition.Defined{}, fmt.Errorf("definitions of coupon %s: %w", id, err)
	}
	return partition.Defined{Definition: definition, Count: n}, nil
}

// Windows gives a page of the windows to be dropped.
func (s *Store) Windows(ctx context.Context, expected partition.Progress, from int) (partition.Windows, error) {
	c := call{
		keys: []string{s.keys.Progress(), s.keys.Retire()},
		args: []any{progressValue(expected), from, from + page - 1},
	}
	answer, err := windowsScript.run(ctx, s.redis, c).Slice()
	if err != nil {
		return partition.Windows{}, fmt.Errorf("loading windows: %w", err)
	}
	w := partition.Windows{Windows: map[partition.Window]fcfs.Millis{}}
	value, _ := answer[0].(string)
	if w.Found, err = parseProgress(value); err != nil {
		return partition.Windows{}, err
	}
	list, _ := answer[1].([]any)
	for i := 0; i+1 < len(list); i += 2 {
		member, _ := list[i].(string)
		score, _ := list[i+1].(string)
		id, day, err := redislayout.ParseRetireMember(member)
		if err != nil {
			return partition.Windows{}, err
		}
		at, err := strconv.ParseFloat(score, 64)
		if err != nil {
			return partition.Windows{}, fmt.Errorf("log time of %s: %w", member, err)
		}
		w.Windows[partition.Window{CouponID: id, Day: day}] = fcfs.Millis(at)
	}
	return w, nil
}

// Look compares progress and trims the outbox.
func (s *Store) Look(ctx context.Context, expected partition.Progress, covered int64) (partition.Progress, error) {
	c := s.begin(expected, "", covered)
	c.arg(0, 0, 0)
	return s.moved(ctx, c, expected)
}

func (s *Store) begin(expected partition.Progress, next string, covered int64) call {
	return call{
		keys: []string{s.keys.Progress(), s.keys.Coupons(), s.keys.Retire(), s.keys.Outbox()},
		args: []any{progressValue(expected), next, covered},
	}
}

func (s *Store) moved(ctx context.Context, c call, expected partition.Progress) (partition.Progress, error) {
	answer, err := restoreScript.run(ctx, s.redis, c).Text()
	switch {
	case err != nil:
		return partition.Progress{}, fmt.Errorf("moving progress: %w", err)
	case answer == "=":
		return expected, nil
	case answer == "" || answer[0] != '!':
		return partition.Progress{}, errAnswer
	}
	return parseProgress(answer[1:])
}

var errAnswer = errors.New("the script's answer is none that it gives")

// Publish tells the waiters.
func (s *Store) Publish(ctx context.Context, outcomes redislayout.Outcomes) error {
	return s.redis.Publish(ctx, s.keys.Outcomes(), outcomes.Encode()).Err()
}
