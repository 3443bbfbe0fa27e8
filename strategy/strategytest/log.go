package strategytest

import (
	"os/exec"

	"github.com/firstcome/firstcome/strategy"
)

// OnLog is the pipeline. command makes a server of the shop that asks it, arrived is everybody in the order of the log, settle
// waits until the ledger lists everybody who has the coupon, lose empties the pipeline's Redis, and kill kills its process and
// starts it again.
func OnLog(shop strategy.Log, command func(t T) *exec.Cmd, arrived func(t T, couponID string) []string, settle func(t T, couponID string), lose, kill func(t T)) Subject {
	s := Subject{
		Page:      page("log"),
		New:       func(T) strategy.Strategy { return shop },
		Command:   command,
		Settle:    settle,
		LoseRedis: lose,
		Kill:      kill,
	}
	s.Ordered = func(t T, limit int64, people []string) strategy.Sale {
		id := s.CouponID(t)
		must(t, shop.SetLimit(t.Context(), id, limit))
		told := askAtOnce(t, []strategy.Strategy{shop}, id, people)
		sale := s.Sale(t, shop, id, limit, told)
		sale.Arrived = arrived(t, id)
		return sale
	}
	return s
}
