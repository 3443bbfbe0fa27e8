package redisstore

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

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
	r, err := readReply(loadScript.run(ctx, s.redis, call{keys: []string{s.keys.Progress(), s.keys.Outbox()}}), 2)
	if err != nil {
		return partition.Loaded{}, fmt.Errorf("loading progress: %w", err)
	}
	var loaded partition.Loaded
	if loaded.Progress, err = r.progress(0); err != nil {
		return partition.Loaded{}, err
	}
	elements, err := r.texts(1)
	for i := 0; i < len(elements) && err == nil; i++ {
		var decided partition.Decided
		decided, err = decodeElement(s.partition, elements[i])
		loaded.Outbox = append(loaded.Outbox, decided)
	}
	if err != nil {
		return partition.Loaded{}, fmt.Errorf("outbox: %w", err)
	}
	return loaded, nil
}

// Definitions gives a page of coupons, in two calls that both compare progress.
func (s *Store) Definitions(ctx context.Context, expected partition.Progress, after string) (partition.Definitions, error) {
	c := call{keys: []string{s.keys.Progress(), s.keys.Coupons()}, args: []any{progressValue(expected), after, page}}
	r, found, err := s.definitions(ctx, c, expected, 1)
	if err != nil || found != expected {
		return partition.Definitions{Found: found}, err
	}
	ids, err := r.texts(1)
	if err != nil || len(ids) == 0 {
		return partition.Definitions{Found: found}, err
	}
	for _, id := range ids {
		c.key(s.keys.Coupon(id))
	}
	if r, found, err = s.definitions(ctx, c, expected, 2*len(ids)); err != nil || found != expected {
		return partition.Definitions{Found: found}, err
	}
	d := partition.Definitions{Found: found, Coupons: make([]partition.Defined, len(ids))}
	for i, id := range ids {
		if d.Coupons[i], err = r.defined(1+2*i, id); err != nil {
			return partition.Definitions{}, fmt.Errorf("definitions of coupon %s: %w", id, err)
		}
	}
	return d, nil
}

// definitions gives the reply, of which so many elements stand after the progress found, if that is the expected one.
func (s *Store) definitions(ctx context.Context, c call, expected partition.Progress, elements int) (reply, partition.Progress, error) {
	all, err := definitionsScript.run(ctx, s.redis, c).Slice()
	if err == nil && len(all) == 0 {
		err = errReply
	}
	var found partition.Progress
	if err == nil {
		found, err = reply(all).progress(0)
	}
	if err == nil && found == expected && len(all) != 1+elements {
		err = fmt.Errorf("%w: %d elements, not %d", errReply, len(all), 1+elements)
	}
	if err != nil {
		return nil, partition.Nothing, fmt.Errorf("loading definitions: %w", err)
	}
	return all, found, nil
}

func (r reply) progress(i int) (partition.Progress, error) {
	value, err := r.text(i)
	if err != nil {
		return partition.Nothing, fmt.Errorf("progress: %w", err)
	}
	return parseProgress(value)
}

func (r reply) defined(i int, id string) (partition.Defined, error) {
	value, err := r.text(i)
	if err != nil {
		return partition.Defined{}, err
	}
	count, err := r.text(i + 1)
	if err != nil {
		return partition.Defined{}, err
	}
	definition, err := redislayout.DecodeDefinition(id, value)
	if err != nil {
		return partition.Defined{}, err
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 {
		return partition.Defined{}, fmt.Errorf("%q is no count of them", count)
	}
	return partition.Defined{Definition: definition, Count: n}, nil
}

// Windows gives a page of the windows to be dropped.
func (s *Store) Windows(ctx context.Context, expected partition.Progress, from int) (partition.Windows, error) {
	c := call{
		keys: []string{s.keys.Progress(), s.keys.Retire()},
		args: []any{progressValue(expected), from, from + page - 1},
	}
	r, err := readReply(windowsScript.run(ctx, s.redis, c), 2)
	if err != nil {
		return partition.Windows{}, fmt.Errorf("loading windows: %w", err)
	}
	w := partition.Windows{Windows: map[partition.Window]fcfs.Millis{}}
	if w.Found, err = r.progress(0); err != nil {
		return partition.Windows{}, err
	}
	list, err := r.texts(1)
	if err == nil && len(list)%2 != 0 {
		err = fmt.Errorf("%w: a window without its log time", errReply)
	}
	for i := 0; i < len(list) && err == nil; i += 2 {
		var window partition.Window
		if window.CouponID, window.Day, err = redislayout.ParseRetireMember(list[i]); err == nil {
			w.Windows[window], err = parseScore(list[i+1])
		}
	}
	if err != nil {
		return partition.Windows{}, fmt.Errorf("loading windows: %w", err)
	}
	return w, nil
}

// parseScore reads a log time as Redis writes it, which is as a number of type double.
func parseScore(score string) (fcfs.Millis, error) {
	at, err := strconv.ParseFloat(score, 64)
	if err != nil || at != math.Trunc(at) || at < 1 || at > 1<<53 {
		return 0, fmt.Errorf("%q is no log time", score)
	}
	return fcfs.Millis(at), nil
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
	}
	return parseElsewhere(answer, expected)
}

// parseElsewhere reads the progress that a script found, where that was not the expected one.
func parseElsewhere(answer string, expected partition.Progress) (partition.Progress, error) {
	value, ok := strings.CutPrefix(answer, "!")
	if !ok {
		return partition.Nothing, fmt.Errorf("%w: %.80q", errReply, answer)
	}
	found, err := parseProgress(value)
	if err == nil && found == expected {
		err = fmt.Errorf("%w: it found what was expected, and did nothing", errReply)
	}
	return found, err
}

// Publish tells the waiters.
func (s *Store) Publish(ctx context.Context, outcomes redislayout.Outcomes) error {
	return s.redis.Publish(ctx, s.keys.Outcomes(), outcomes.Encode()).Err()
}
