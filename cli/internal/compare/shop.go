package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

// floorName is the shop that only counts.
const floorName = "floor"

// Shop is a shop's server: a process that claims for whoever asks on its input, until that ends. Patiently means that an answer
// is a decision: who is told to ask again does so, and who was accepted asks for the result.
func Shop(ctx context.Context, name string, patiently bool, getenv func(string) string, in io.Reader, out io.Writer) error {
	shop, gate, end, err := openShop(ctx, name, getenv)
	if err != nil {
		return err
	}
	defer end()
	if patiently {
		shop = patient(shop)
	}
	return strategytest.Serve(ctx, shop, gate, in, out)
}

func openShop(ctx context.Context, name string, getenv func(string) string) (strategy.Strategy, *strategytest.Gate, func(), error) {
	switch name {
	case "postgres":
		pool, err := pgxpool.New(ctx, getenv(endpoint.DatabaseURL))
		if err != nil {
			return nil, nil, nil, err
		}
		return strategy.Postgres{Pool: pool}, nil, pool.Close, nil
	case "log":
		http := connections()
		return strategy.Log{GatewayURL: getenv(endpoint.GatewayURL), LedgerURL: getenv(endpoint.LedgerURL), HTTP: http}, nil, http.CloseIdleConnections, nil
	}
	cfg, err := endpoint.Redis(map[string]string{endpoint.RedisAddr: getenv(endpoint.RedisAddr), endpoint.RedisPrefix: getenv(endpoint.RedisPrefix)}, getenv)
	if err != nil {
		return nil, nil, nil, err
	}
	client, single := endpoint.RedisClient(cfg).(*redis.Client)
	if !single {
		return nil, nil, nil, fmt.Errorf("a shop's server expects a single Redis, and REDIS_MODE is %s", cfg.Mode)
	}
	end := func() { _ = client.Close() }
	if name == floorName {
		return floor{Redis: client}, nil, end, nil
	}
	return strategytest.Open(name, client), strategytest.NewGate(client), end, nil
}

// connections keeps one for each who asks at the same time, so that a crowd does not pay for dialling.
func connections() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 10_000
	return &http.Client{Transport: t}
}

// floor counts people and refuses nobody: one command each, the least that a shop on Redis can do.
type floor struct{ Redis *redis.Client }

func (f floor) key(couponID string) string { return "coupon:" + couponID + ":floor" }

func (f floor) SetLimit(ctx context.Context, couponID string, _ int64) error {
	return f.Redis.Set(ctx, f.key(couponID), 0, 0).Err()
}

func (f floor) Claim(ctx context.Context, couponID, _ string) (strategy.Answer, error) {
	return strategy.Issued, f.Redis.Incr(ctx, f.key(couponID)).Err()
}

func (f floor) Issued(context.Context, string) ([]string, error) {
	return nil, errors.New("the floor knows nobody")
}

func (f floor) Remaining(context.Context, string) (int64, error) { return 0, nil }

func patient(shop strategy.Strategy) strategy.Strategy {
	if decider, decides := shop.(strategy.Decider); decides {
		return waiting{decider}
	}
	return insisting{shop}
}

// insisting asks again where too many ask at the same time.
type insisting struct{ strategy.Strategy }

func (i insisting) Claim(ctx context.Context, couponID, userID string) (strategy.Answer, error) {
	for {
		answer, err := i.Strategy.Claim(ctx, couponID, userID)
		if !errors.Is(err, strategy.ErrBusy) || ctx.Err() != nil {
			return answer, err
		}
	}
}

// waiting asks for the result until there is one.
type waiting struct{ strategy.Decider }

// How often a person asks for their result. Who is unknown for longer than lostAfter is taken for lost; until then a worker may
// have the claim in its hands.
const (
	poll      = 50 * time.Millisecond
	lostAfter = 10 * time.Second
)

func (w waiting) Claim(ctx context.Context, couponID, userID string) (strategy.Answer, error) {
	answer, err := w.Decider.Claim(ctx, couponID, userID)
	if answer != strategy.Accepted || err != nil {
		return answer, err
	}
	known := time.Now()
	look := time.NewTicker(poll)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-look.C:
		}
		answer, err := w.Result(ctx, couponID, userID)
		switch {
		case answer == strategy.Accepted:
			known = time.Now()
		case errors.Is(err, strategy.ErrNoClaim) && time.Since(known) < lostAfter:
		case errors.Is(err, strategy.ErrNoClaim):
			return strategy.Accepted, nil // and that is the last that is known
		default:
			return answer, err
		}
	}
}
