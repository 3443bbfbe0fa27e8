package gateway

import (
	"cmp"
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
	// ClaimTokens may claim, for any user id: comma list of name=secret. Required, except with JWTKeys or AllowAnonymous.
	ClaimTokens token.Set `env:"CLAIM_TOKENS"`
	// ClaimIDKeys seal the claim ids: comma list of number=base64 of 32 bytes, the first seals. All gateways need the same
	// ones, else an id of one is unknown to the other; an id dies with its key. Required.
	ClaimIDKeys string `env:"CLAIM_ID_KEYS"`

	// MaxWaiters bounds the people who wait at the same time, with "Prefer: wait" or on the stream of their claim: further
	// ones get 202 at once, and 503 instead of a stream. Each costs waiterCost, so it also sets MemoryLimit.
	MaxWaiters int `env:"MAX_WAITERS" envDefault:"50000"`

	// MaxInFlight bounds the claims that are between having been read and being in the log; further ones get 503 at once.
	// A log that takes 50 ms takes 20,000 claims a second with the default; more places make nobody faster, and let people
	// wait longer before they are turned away.
	MaxInFlight int `env:"MAX_IN_FLIGHT" envDefault:"1000"`
	// MaxConnections bounds the open connections, so that a flood of them leaves files for Kafka and Redis; further ones
	// wait to be accepted. Keep it at least 1,000 below the process's limit of open files.
	MaxConnections int `env:"MAX_CONNECTIONS" envDefault:"50000"`

	// PersonRateLimit is how often one person may ask for coupons, AddressRateLimit how often one address (of IPv6: its
	// network of 64 bits) may call the API: "20/1m" is 20 requests, which come back evenly over a minute. Each is
	// counted by each gateway alone. Off by default: the guard already stops a person's clicks, and offices and carriers
	// share addresses. Too low, and people are turned away who did nothing wrong.
	PersonRateLimit  Quota `env:"PERSON_RATE_LIMIT"`
	AddressRateLimit Quota `env:"ADDRESS_RATE_LIMIT"`
	// TrustedProxies are whose X-Forwarded-For is believed: comma list of networks. Too few, and all who come through a
	// proxy are one address; too many, and people choose what address they have.
	TrustedProxies Proxies `env:"TRUSTED_PROXIES"`

	// JWTKeys is the https URL of the JSON Web Key Set of whoever issues people's tokens, JWTIssuer and JWTAudience what
	// their iss and aud must be. All three, or none: then nobody claims by a JWT.
	JWTKeys     string `env:"JWT_JWKS_URL"`
	JWTIssuer   string `env:"JWT_ISSUER"`
	JWTAudience string `env:"JWT_AUDIENCE"`

	// CertFile and KeyFile are PEM files; with both, ListenAddr speaks TLS. Read again when they change.
	CertFile string `env:"TLS_CERT"`
	KeyFile  string `env:"TLS_KEY"`
	// CORSOrigins are the origins (https://shop.example) whose pages may use the API from a browser: comma list.
	CORSOrigins []string `env:"CORS_ORIGINS" envSeparator:","`

	// LedgerURL is a ledger's public address, http:// or https://: who holds a coupon that is retired is asked there.
	// Without it such questions are answered with 410.
	LedgerURL string `env:"LEDGER_URL"`
	// LedgerToken is one of that ledger's read tokens, the secret alone. Not needed where it asks for none.
	LedgerToken string `env:"LEDGER_TOKEN"`

	// AllowAnonymous lets everybody do everything where no tokens are given. Only local mode sets it, and New refuses it
	// on a listener that others than this machine can reach.
	AllowAnonymous bool `env:"-"`
	// AllowCreateTime lets the requests topic have the clients' clocks instead of the broker's. Only local mode sets it.
	AllowCreateTime bool `env:"-"`
	// Listener is used instead of ListenAddr when set.
	Listener net.Listener `env:"-"`
	// Now is the gateway's clock, time.Now when nil. It never decides: it only tells when the log has to be asked. But where
	// the requests topic has the clients' clocks, the gateway's records have this one.
	Now func() time.Time `env:"-"`
}

// Validate gives everything that is wrong with c, each naming its variable.
func (c Config) Validate() []error {
	var errs []error
	errs = append(errs, c.Config.Problems()...)
	errs = append(errs, c.Redis.Problems()...)
	if _, err := newLedger(c.LedgerURL, c.LedgerToken); err != nil {
		errs = append(errs, err)
	}
	for _, tokens := range []struct {
		name   string
		set    token.Set
		needed bool
	}{{"ADMIN_TOKENS", c.AdminTokens, true}, {"CLAIM_TOKENS", c.ClaimTokens, c.JWTKeys == ""}} {
		if tokens.set.Empty() && tokens.needed && !c.AllowAnonymous {
			errs = append(errs, fmt.Errorf("%s is required: a comma list of name=secret", tokens.name))
		}
	}
	switch _, err := newSealer(c.ClaimIDKeys); {
	case c.ClaimIDKeys == "":
		errs = append(errs, errors.New("CLAIM_ID_KEYS is required: a comma list of number=base64 of 32 bytes"))
	case err != nil:
		errs = append(errs, fmt.Errorf("CLAIM_ID_KEYS: %w", err))
	}
	for _, bound := range []struct {
		name string
		n    int
	}{{"MAX_WAITERS", c.MaxWaiters}, {"MAX_IN_FLIGHT", c.MaxInFlight}, {"MAX_CONNECTIONS", c.MaxConnections}} {
		if bound.n < 0 {
			errs = append(errs, fmt.Errorf("%s must not be negative", bound.name))
		}
	}
	return append(errs, c.frontProblems()...)
}

const (
	defaultWaiters = 50_000   // as MaxWaiters says
	waiterCost     = 32 << 10 // with some kilobytes of headers
	baseMemory     = 128 << 20
)

// MemoryLimit is for debug.SetMemoryLimit, in bytes: what a gateway with all its waiters needs. Without it Go's collector
// would let those who wait take up to twice what they cost.
func (c Config) MemoryLimit() int64 {
	return baseMemory + int64(cmp.Or(c.MaxWaiters, defaultWaiters))*waiterCost
}

// onLoopback tells whether only this machine can reach an address.
func onLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
