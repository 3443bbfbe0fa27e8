package issuer

import (
	"errors"
	"time"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/pkg/broker"
)

// Config is everything an issuer can be told. The zero value of each field that is not required is what its default says.
// Nothing in it decides about anyone's coupon.
type Config struct {
	// How to reach Kafka. The issuer waits for the topics, and never makes them.
	broker.Config
	// How to reach Redis. With another prefix than before, everything is rebuilt from the journal under the new one.
	env.Redis

	// AdminAddr is where /livez, /readyz and /metrics are. Not to be reached from outside.
	AdminAddr string `env:"ADMIN_ADDR" envDefault:":9081"`

	// MaxBatch is how many records one script call decides at most. Redis answers nobody else meanwhile: 1000 take about
	// 3 ms. Smaller ones cost throughput.
	MaxBatch int `env:"MAX_BATCH" envDefault:"1000"`
	// MaxWaiting is how many facts of a partition may wait for the journal, in Redis and in memory at about 250 bytes each;
	// beyond it deciding pauses.
	MaxWaiting int `env:"MAX_WAITING" envDefault:"50000"`

	// AllowCreateTime lets the requests topic have the clients' clocks instead of the broker's: then whoever may write to
	// it can choose the time of a claim. Only local mode sets it, where its broker cannot do better.
	AllowCreateTime bool `env:"-"`
	// Hook is called in tests after an effect and before the next one, by the loop of a partition: "loaded", "restored",
	// "dead_lettered", "decided", "published", "emitted", "committed". An error ends that loop as a crash would.
	Hook func(point string, partition int32) error `env:"-"`
	// Drain is how long a stopping partition may take to get into the journal what it has decided; 3 s when 0. What does
	// not get there stays in the outbox for the next owner.
	Drain time.Duration `env:"-"`
}

// Validate gives everything that is wrong with c, each naming its variable.
func (c Config) Validate() []error {
	errs := append(c.Config.Problems(), c.Redis.Problems()...)
	if c.MaxBatch < 0 || c.MaxBatch > 10_000 {
		errs = append(errs, errors.New("MAX_BATCH must be from 1 to 10000"))
	}
	if c.MaxWaiting < 0 {
		errs = append(errs, errors.New("MAX_WAITING must not be negative"))
	}
	return errs
}
