package strategy

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A strategy to which nobody gave its servers, or such as it cannot work on, says so in each of its calls.
func TestNoServers(t *testing.T) {
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"localhost:1"}})
	defer cluster.Close()
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": "localhost:1"}})
	defer ring.Close()
	var none *redis.Client
	strategies := map[string]Strategy{"postgres": Postgres{}, "log": Log{}}
	for name, client := range map[string]redis.UniversalClient{"nil": nil, "none": none, "cluster": cluster, "ring": ring} {
		strategies["script/"+name] = Script{Redis: client}
		strategies["recheck/"+name] = Recheck{Redis: client}
		strategies["queue/"+name] = Queue{Redis: client}
		strategies["lock/"+name] = Lock{Redis: client}
	}
	for name, s := range strategies {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			refused := func(call string, err error) {
				if !errors.Is(err, ErrInvalid) {
					t.Errorf("%s: %v", call, err)
				}
			}
			_, err := s.Claim(ctx, "tea", "ada")
			refused("Claim", err)
			refused("SetLimit", s.SetLimit(ctx, "tea", 1))
			_, err = s.Issued(ctx, "tea")
			refused("Issued", err)
			_, err = s.Remaining(ctx, "tea")
			refused("Remaining", err)
			if d, is := s.(Decider); is {
				_, err = d.Result(ctx, "tea", "ada")
				refused("Result", err)
				refused("Work", d.Work(ctx, "tea"))
			}
			if m, is := s.(interface{ Migrate(context.Context) error }); is {
				refused("Migrate", m.Migrate(ctx))
			}
		})
	}
	_, err := Log{GatewayURL: "http://localhost:1"}.Issued(t.Context(), "tea")
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("Issued without a ledger: %v", err)
	}
}
