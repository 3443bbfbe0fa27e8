package handover

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/pkg/event"
)

// column is what a CSV of more than one column calls the people in its first row, in capitals or not.
const column = "user_id"

// FromCSV reads who has a coupon: the column user_id, or the only one. Order is kept, and ids are as they stand, but for white
// space around one: that is an error, since nobody can tell whether it is the id's, unless spacesBelong says so.
func FromCSV(r io.Reader, spacesBelong bool) ([]string, error) {
	rows := csv.NewReader(afterMark(r))
	var people []string
	lines, at := make(map[string]int), 0
	for first := true; ; first = false {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return people, nil
		}
		if err != nil {
			return nil, err
		}
		if first {
			var heading bool
			if at, heading, err = columnOf(row); err != nil {
				return nil, err
			}
			if heading {
				continue
			}
		}
		user := row[at]
		line, _ := rows.FieldPos(at)
		if err := event.CheckUserID(user); err != nil {
			return nil, fmt.Errorf("line %d: user id %q: %w", line, user, err)
		}
		if !spacesBelong && user != strings.TrimSpace(user) {
			return nil, fmt.Errorf("line %d: user id %q: there is white space around it; --spaces-belong takes it as it is", line, user)
		}
		if lines[user] > 0 {
			return nil, fmt.Errorf("line %d: %q is in line %d already", line, user, lines[user])
		}
		lines[user] = line
		people = append(people, user)
	}
}

// afterMark passes over the mark with which spreadsheets begin their UTF-8.
func afterMark(r io.Reader) io.Reader {
	text := bufio.NewReader(r)
	if mark, _ := text.Peek(3); string(mark) == "\ufeff" {
		_, _ = text.Discard(3)
	}
	return text
}

// columnOf is where the first row has the people, and whether it only says so.
func columnOf(row []string) (at int, heading bool, err error) {
	is := func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), column) }
	switch at = slices.IndexFunc(row, is); {
	case at >= 0 && slices.ContainsFunc(row[at+1:], is):
		return 0, false, fmt.Errorf("line 1: two columns are called %s", column)
	case at >= 0:
		return at, true, nil
	case len(row) > 1:
		return 0, false, fmt.Errorf("line 1: the first row of %d columns must name one of them %s", len(row), column)
	case strings.Contains(strings.ToLower(row[0]), column):
		return 0, false, fmt.Errorf("line 1: %q names %s among others: columns are separated by commas", row[0], column)
	}
	return 0, false, nil
}

// Key is where the strategies on Redis keep who has a coupon.
func Key(couponID string) string { return "coupon:" + couponID + ":issued" }

// FromRedis reads who has a coupon of the strategies on Redis, a thousand at a time. A set has no order: they come sorted. That
// somebody waits in a queue of it is an error.
func FromRedis(ctx context.Context, client redis.UniversalClient, couponID string) ([]string, error) {
	if err := nobodyWaits(ctx, client, couponID); err != nil {
		return nil, err
	}
	var people []string
	members := client.SScan(ctx, Key(couponID), 0, "", 1000).Iterator()
	for members.Next(ctx) {
		people = append(people, members.Val())
	}
	if err := members.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", Key(couponID), err)
	}
	slices.Sort(people)
	people = slices.Compact(people) // a scan may give one twice
	for _, user := range people {
		if err := event.CheckUserID(user); err != nil {
			return nil, fmt.Errorf("%s: user id %q: %w", Key(couponID), user, err)
		}
	}
	return people, nil
}

// nobodyWaits looks into the lists of strategy.Queue: who is in one was told that they will have an answer.
func nobodyWaits(ctx context.Context, client redis.UniversalClient, couponID string) error {
	for _, what := range []string{"queue", "processing"} {
		list := "coupon:" + couponID + ":" + what
		n, err := client.LLen(ctx, list).Result()
		if err != nil {
			return fmt.Errorf("read %s: %w", list, err)
		}
		if n > 0 {
			return fmt.Errorf("%d people wait for their answer in %s: let the worker finish first", n, list)
		}
	}
	return nil
}
