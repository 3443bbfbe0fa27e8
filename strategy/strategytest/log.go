package strategytest

import (
	"os/exec"
	"slices"

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
		var told []strategy.Told
		var order []string
		for wave := range slices.Chunk(people, max(1, len(people)/waves)) {
			told = append(told, askAtOnce(t, []strategy.Strategy{shop}, id, wave)...)
			order = append(order, cameIn(wave, arrived(t, id))...)
		}
		sale := s.Sale(t, shop, id, limit, told)
		sale.Arrived = order
		return sale
	}
	return s
}

// waves are as many as have the sale end in the second or third: whoever the first refuses wrongly is before some who have one.
const waves = 8

// cameIn has a wave of people in the order of the log. Whom the gateway has refused at the door is not in the log: they came
// after those who are, and before the next wave.
func cameIn(wave, log []string) []string {
	order := slices.DeleteFunc(slices.Clone(log), func(user string) bool { return !slices.Contains(wave, user) })
	for _, user := range wave {
		if !slices.Contains(log, user) {
			order = append(order, user)
		}
	}
	return order
}
