package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/rs/cors"
	"golang.org/x/net/netutil"

	"github.com/firstcome/firstcome/internal/lifecycle"
	"github.com/firstcome/firstcome/internal/telemetry"
)

// preflightAge is for how long a browser need not ask again whether it may ask: the longest that some browsers keep it.
const preflightAge = 2 * time.Hour

// frontProblems gives what is wrong with the settings of what stands before the handlers.
func (c Config) frontProblems() (errs []error) {
	if err := c.PersonRateLimit.check(); err != nil {
		errs = append(errs, fmt.Errorf("PERSON_RATE_LIMIT %w", err))
	}
	if err := c.AddressRateLimit.check(); err != nil {
		errs = append(errs, fmt.Errorf("ADDRESS_RATE_LIMIT %w", err))
	}
	errs = append(errs, c.jwtProblems()...)
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("TLS_CERT and TLS_KEY: both or none"))
	}
	for i, origin := range c.CORSOrigins {
		if !isOrigin(origin) {
			errs = append(errs, fmt.Errorf("CORS_ORIGINS: item %d must be an origin such as https://shop.example", i+1))
		}
	}
	return errs
}

func (c Config) jwtProblems() (errs []error) {
	given := c.JWTKeys != ""
	if given && !isKeySetURL(c.JWTKeys) {
		errs = append(errs, errors.New("JWT_JWKS_URL must be an https URL, or http on this machine"))
	}
	for _, v := range []struct{ name, value string }{{"JWT_ISSUER", c.JWTIssuer}, {"JWT_AUDIENCE", c.JWTAudience}} {
		switch {
		case given && v.value == "":
			errs = append(errs, fmt.Errorf("%s is required with JWT_JWKS_URL", v.name))
		case !given && v.value != "":
			errs = append(errs, fmt.Errorf("%s is of no use without JWT_JWKS_URL", v.name))
		}
	}
	return errs
}

// isKeySetURL wants TLS, since whoever can answer in the issuer's place can be anybody.
func isKeySetURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	addr, _ := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || addr.IsLoopback())
}

// isOrigin knows what a browser sends as Origin; "null" is none, it is everybody's.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.Hostname() != "" &&
		u.User == nil && text == u.Scheme+"://"+u.Host && text == strings.ToLower(text) && !strings.Contains(text, "*")
}

func (s *Service) handler() http.Handler {
	return telemetry.HTTP(s.cors(s.routes()), s.log, s.metrics.http)
}

// cors lets the pages of some origins read the answers. They say who they are by Authorization, so no cookies are asked for.
func (s *Service) cors(h http.Handler) http.Handler {
	if len(s.cfg.CORSOrigins) == 0 {
		return h
	}
	return cors.New(cors.Options{
		AllowedOrigins: s.cfg.CORSOrigins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut},
		AllowedHeaders: []string{"Authorization", "Content-Type", "Idempotency-Key", "Prefer", "Last-Event-ID",
			telemetry.HeaderCorrelationID, telemetry.HeaderTraceParent},
		ExposedHeaders: []string{"Location", "Retry-After", "Preference-Applied", telemetry.HeaderCorrelationID,
			telemetry.HeaderTraceParent, "RateLimit", "RateLimit-Policy"},
		MaxAge: int(preflightAge / time.Second),
	}).Handler(h)
}

// front is the public listener with its bound, and TLS where it is wanted.
func (c Config) front(ln net.Listener, certificate *lifecycle.Certificate) net.Listener {
	ln = netutil.LimitListener(ln, c.MaxConnections)
	if certificate != nil {
		ln = certificate.Listener(ln)
	}
	return ln
}
