package gateway

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/token"
	"github.com/firstcome/firstcome/pkg/broker"
)

// Config is everything a gateway can be told. The zero value of each field that is not required is what its default says.
type Config struct {
	// How to reach Kafka. The gateway waits for the topics, and never makes them.
	broker.Config
	// How to reach what the issuer writes. With another prefix than the issuer's every answer is "not available".
	env.Redis

	// ListenAddr is the public address, host:port.
	ListenAddr string `env:"LISTEN_ADDR" envDefault:":8080"`
	// AdminAddr is where /livez, /readyz and /metrics are. Not to be reached from outside.
	AdminAddr string `env:"ADMIN_ADDR" envDefault:":9080"`

	// AdminTokens may define coupons: comma list of name=secret, so that secrets rotate.
	// Required, except with AllowAnonymous.
	AdminTokens token.Set `env:"ADMIN_TOKENS"`
	// ClaimTokens may claim, for any user id: comma list of name=secret. Required, except with AllowAnonymous.
	ClaimTokens token.Set `env:"CLAIM_TOKENS"`
	// ClaimIDKeys seal the claim ids: comma list of number=base64 of 32 bytes, the first seals. All gateways need the same
	// ones, else an id of one is unknown to the other; an id dies with its key. Required.
	ClaimIDKeys string `env:"CLAIM_ID_KEYS"`

	// MaxWaiters bounds the people who wait at the same time, with "Prefer: wait" or on the stream of their claim: further
	// ones get 202 at once, and 503 instead of a stream. Each costs waiterCost, so it also sets MemoryLimit.
	MaxWaiters int `env:"MAX_WAITERS" envDefault:"50000"`

	// AllowAnonymous lets everybody do everything where no tokens are given. Only local mode sets it, and New refuses it
	// on a listener that others than this machine can reach.
	AllowAnonymous bool `env:"-"`
	// AllowCreateTime lets the requests topic have the clients' clocks instead of the broker's. Only local mode sets it.
	AllowCreateTime bool `env:"-"`
	// Listener is used instead of ListenAddr when set.
	Listener net.Listener `env:"-"`
	// Now is the gateway's clock, time.Now when nil. It never decides: it only tells when the log has to be asked.
	Now func() time.Time `env:"-"`
}

// Validate gives everything that is wrong with c, each naming its variable.
func (c Config) Validate() []error {
	var errs []error
	errs = append(errs, c.Config.Problems()...)
	errs = append(errs, c.Redis.Problems()...)
	for _, tokens := range []struct {
		name string
		set  token.Set
	}{{"ADMIN_TOKENS", c.AdminTokens}, {"CLAIM_TOKENS", c.ClaimTokens}} {
		if tokens.set.Empty() && !c.AllowAnonymous {
			errs = append(errs, fmt.Errorf("%s is required: a comma list of name=secret", tokens.name))
		}
	}
	switch _, err := newSealer(c.ClaimIDKeys); {
	case c.ClaimIDKeys == "":
		errs = append(errs, errors.New("CLAIM_ID_KEYS is required: a comma list of number=base64 of 32 bytes"))
	case err != nil:
		errs = append(errs, fmt.Errorf("CLAIM_ID_KEYS: %w", err))
	}
	if c.MaxWaiters < 0 {
		errs = append(errs, errors.New("MAX_WAITERS must not be negative"))
	}
	return errs
}

const (
	defaultWaiters = 50_000   // as MaxWaiters says
	waiterCost     = 32 << 10 // with some kilobytes of headers
	baseMemory     = 128 << 20
)

// MemoryLimit is for debug.SetMemoryLimit, in bytes: what a gateway with all its waiters needs. Without it Go's collector
// would let those who wait take up to twice what they cost.
func (c Config) MemoryLimit() int64 {
	waiters := c.MaxWaiters
	if waiters == 0 {
		waiters = defaultWaiters
	}
	return baseMemory + int64(waiters)*waiterCost
}

// onLoopback tells whether only this machine can reach an address.
func onLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
