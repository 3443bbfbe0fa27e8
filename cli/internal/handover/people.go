package handover

import (
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

// column is what a CSV of more than one column calls the people in its first row.
const column = "user_id"

// FromCSV reads who has a coupon: the column user_id, or the only one. Order is kept.
func FromCSV(r io.Reader) ([]string, error) {
	rows := csv.NewReader(r)
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
			row[0] = strings.TrimPrefix(row[0], "\ufeff") // as spreadsheets begin
			if at = slices.Index(row, column); at >= 0 {
				continue
			}
			if at = 0; len(row) > 1 {
				return nil, fmt.Errorf("line 1: the first row of %d columns must name one of them %s", len(row), column)
			}
		}
		user := row[at]
		line, _ := rows.FieldPos(at)
		if err := event.CheckUserID(user); err != nil {
			return nil, fmt.Errorf("line %d: user id %q: %w", line, user, err)
		}
		if lines[user] > 0 {
			return nil, fmt.Errorf("line %d: %q is in line %d already", line, user, lines[user])
		}
		lines[user] = line
		people = append(people, user)
	}
}

// Key is where the strategies on Redis keep who has a coupon.
func Key(couponID string) string { return "coupon:" + couponID + ":issued" }

// FromRedis reads who has a coupon of the strategies on Redis, a thousand at a time. A set has no order: they come sorted.
func FromRedis(ctx context.Context, client redis.UniversalClient, couponID string) ([]string, error) {
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
