package strategy

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

func TestLog(t *testing.T) {
	t.Parallel()
	servers, alone := coupontest.Start(t, coupontest.Kafka, coupontest.Postgres), coupontest.StartAlone(t, coupontest.Redis)
	servers.RedisAddr, servers.RedisPrefix = alone.RedisAddr, alone.RedisPrefix // which is lost
	running := servers.Pipeline(t)
	shop := strategy.Log{GatewayURL: running.GatewayURL, LedgerURL: running.LedgerURL}
	strategytest.Run(t, strategytest.OnLog(shop,
		func(strategytest.T) *exec.Cmd {
			return command("log", "GATEWAY_URL="+shop.GatewayURL, "LEDGER_URL="+shop.LedgerURL)
		},
		func(t strategytest.T, id string) []string { return arrived(tb(t), servers, id) },
		func(t strategytest.T, id string) { untilListed(tb(t), servers, shop, id) },
		func(t strategytest.T) { alone.KillRedis(tb(t)) },
		func(t strategytest.T) { running.Restart(tb(t)) }))
}

// untilListed waits for the ledger, which is behind the journal for a moment.
func untilListed(t testing.TB, servers *coupontest.Servers, shop strategy.Strategy, couponID string) {
	granted := len(servers.Grants(t, couponID))
	strategytest.Eventually(t, func() (any, error) {
		users, err := shop.Issued(t.Context(), couponID)
		if err == nil && len(users) < granted {
			err = fmt.Errorf("%d of %d are listed", len(users), granted)
		}
		return nil, err
	})
}

// arrived is everybody in the order of the log.
func arrived(t testing.TB, servers *coupontest.Servers, couponID string) (order []string) {
	t.Helper()
	seen := make(map[string]bool)
	for _, record := range servers.Requests(t, couponID) {
		request, err := event.Decode(record)
		check(t, err)
		if claim, is := request.Data.(event.ClaimRequested); is && !seen[claim.UserID] {
			seen[claim.UserID] = true
			order = append(order, claim.UserID)
		}
	}
	return order
}
