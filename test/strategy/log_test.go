package strategy

import (
	"fmt"
	"os/exec"
	"sync"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

func TestLog(t *testing.T) {
	t.Parallel()
	servers := coupontest.StartAlone(t)
	running := servers.Pipeline(t)
	shop := strategy.Log{GatewayURL: running.GatewayURL, LedgerURL: running.LedgerURL}
	s := strategytest.Subject{
		Page: page(t, "log"),
		New:  func(testing.TB) strategy.Strategy { return shop },
		Command: func(testing.TB) *exec.Cmd {
			return command("log", "GATEWAY_URL="+shop.GatewayURL, "LEDGER_URL="+shop.LedgerURL)
		},
		LoseRedis: func(t testing.TB) { servers.KillRedis(t) },
		Settle:    func(t testing.TB, shop strategy.Strategy, id string) { untilListed(t, servers, shop, id) },
	}
	s.Ordered = func(t *testing.T, limit int64, people []string) strategy.Sale {
		id := s.CouponID(t)
		check(t, shop.SetLimit(t.Context(), id, limit))
		told := make([]strategy.Told, len(people))
		var asking sync.WaitGroup
		for i, user := range people {
			asking.Go(func() { told[i] = strategytest.Decided(t, shop, id, user) })
		}
		asking.Wait()
		sale := s.Sale(t, shop, id, limit, told)
		sale.Arrived = arrived(t, servers, id)
		return sale
	}
	strategytest.Run(t, s)
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
