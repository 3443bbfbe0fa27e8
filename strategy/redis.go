package strategy

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// What the strategies on Redis keep alike:
//
//	coupon:<id>:limit   how many there are, a number (Lock has coupon:<id>:remaining in its place)
//	coupon:<id>:issued  who has one, a set of user ids
func key(couponID, what string) string { return "coupon:" + couponID + ":" + what }

// check lets through a client of one server, and ids that are right. What a cluster or a ring keeps at several servers is
// refused there in some strategies and silently wrong in others.
func check(client redis.UniversalClient, couponID string, userIDs ...string) error {
	switch c := client.(type) {
	case nil:
		return fmt.Errorf("%w strategy: Redis is nil, and must be a client", ErrInvalid)
	case *redis.Client:
		if c == nil {
			return fmt.Errorf("%w strategy: Redis is nil, and must be a client", ErrInvalid)
		}
	case *redis.ClusterClient, *redis.Ring:
		return fmt.Errorf("%w strategy: Redis is a %T, and must be a client of one server, since a coupon's keys lie together", ErrInvalid, c)
	}
	return checkIDs(couponID, userIDs...)
}

func setLimit(ctx context.Context, client redis.UniversalClient, couponID string, limit int64) error {
	if err := check(client, couponID); err != nil {
		return err
	}
	if err := checkLimit(couponID, limit); err != nil {
		return err
	}
	if err := client.Set(ctx, key(couponID, "limit"), limit, 0).Err(); err != nil {
		return fmt.Errorf("set the limit of coupon %s: %w", couponID, err)
	}
	return nil
}

// look reads the limit of a coupon and how many people have one.
func look(ctx context.Context, client redis.UniversalClient, couponID string) (limit, issued int64, err error) {
	var limitIs, issuedIs *redis.IntCmd
	_, err = client.Pipelined(ctx, func(p redis.Pipeliner) error {
		limitIs, issuedIs = getLimit(ctx, p, couponID), p.SCard(ctx, key(couponID, "issued"))
		return nil
	})
	switch {
	case errors.Is(limitIs.Err(), redis.Nil):
		return 0, 0, ErrCouponNotFound
	case err != nil:
		return 0, 0, fmt.Errorf("read the limit of coupon %s and count who has one: %w", couponID, err)
	}
	return limitIs.Val(), issuedIs.Val(), nil
}

func getLimit(ctx context.Context, p redis.Pipeliner, couponID string) *redis.IntCmd {
	get := redis.NewIntCmd(ctx, "get", key(couponID, "limit"))
	_ = p.Process(ctx, get) // which only queues it
	return get
}

func remaining(ctx context.Context, client redis.UniversalClient, couponID string) (int64, error) {
	if err := check(client, couponID); err != nil {
		return 0, err
	}
	limit, issued, err := look(ctx, client, couponID)
	return max(0, limit-issued), err
}

// issued reads the whole set at once, and Redis serves nobody else meanwhile.
func issued(ctx context.Context, client redis.UniversalClient, couponID, mark string) ([]string, error) {
	if err := check(client, couponID); err != nil {
		return nil, err
	}
	var exists *redis.IntCmd
	var members *redis.StringSliceCmd
	_, err := client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		exists, members = p.Exists(ctx, key(couponID, mark)), p.SMembers(ctx, key(couponID, "issued"))
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("list who has coupon %s: %w", couponID, err)
	case exists.Val() == 0:
		return nil, ErrCouponNotFound
	}
	return members.Val(), nil
}
