package e2e

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/services/issuer"
	"github.com/firstcome/firstcome/test/process"
)

// An issuer dies after it has decided and before it has emitted: what it decided is in the outbox, people may have read it
// there, and the next issuer emits it.
func TestStopBetweenDecideAndEmit(t *testing.T) {
	servers := coupontest.Start(t)
	env := process.Environment(servers)
	process.CreateTopics(t, env, 4)
	gateway, ledger := process.Start(t, "gateway", env), process.Start(t, "ledger", env)

	ctx, kill := context.WithCancel(t.Context())
	var decided, died atomic.Int64
	ended := runIssuer(t, ctx, servers, func(point string, _ int32) error {
		switch {
		case died.Load() > 0: // a process that is dead does nothing more
			return errors.New("dead")
		case point == "decided" && decided.Add(1) == 3: // the definition, and at most 200 claims, were before
			died.Add(1)
			kill()
			return errors.New("dies")
		}
		return nil
	})
	for _, p := range []*process.Process{gateway, ledger} {
		p.WaitReady(t)
	}
	s := startSale(t, env, gateway, "tea", 500, 4000)
	<-ended
	if died.Load() == 0 {
		t.Fatal("the issuer ended before it was to die")
	}
	second := process.Start(t, "issuer", env)
	s.ends(t)
	process.Audit(t, env, s.Load)
	if second.Metric(t, "coupon_issuer_reemitted_total") <= 0 {
		t.Error("the second issuer had nothing to emit for the first")
	}
}

// runIssuer runs an issuer in the test's process; the channel is closed once it has ended.
func runIssuer(t *testing.T, ctx context.Context, s *coupontest.Servers, hook func(string, int32) error) <-chan struct{} {
	t.Helper()
	var cfg issuer.Config
	cfg.Brokers, cfg.TopicPrefix = s.Brokers, s.TopicPrefix
	cfg.Redis = env.Redis{Addr: []string{s.RedisAddr}, Mode: "single", Prefix: s.RedisPrefix}
	cfg.Hook = hook
	service, err := issuer.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := service.Run(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("the issuer ends with %v", err)
		}
	}()
	return ended
}
