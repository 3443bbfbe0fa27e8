package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/internal/token"
	"github.com/firstcome/firstcome/pkg/event"
)

// leeway is how far the issuer's clock and this one may be apart.
const leeway = 30 * time.Second

// people knows persons by their JWT (RFC 7519), which another service issues and signs. A nil *people knows nobody.
type people struct {
	keys   *keyring
	parser *jwt.Parser
}

func newPeople(issuer, audience string, keys *keyring, now func() time.Time) *people {
	return &people{keys, jwt.NewParser(
		jwt.WithValidMethods(algorithms),
		jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired(),
		jwt.WithLeeway(leeway), jwt.WithTimeFunc(now), jwt.WithStrictDecoding(),
	)}
}

// Person is the user whom the request's JWT speaks for. Errors are problems: unauthorized, and why; forbidden for a JWT
// whose sub can be no user id; unavailable as long as there are no keys to check it with.
func (p *people) Person(r *http.Request) (userID string, err error) {
	text, ok := token.Bearer(r)
	if p == nil || !ok || strings.Count(text, ".") != 2 {
		return "", problem.New(problem.Unauthorized, "")
	}
	// A map, whose names are exact: a struct's would also take "SUB", which an issuer may let people choose.
	claims := jwt.MapClaims{}
	_, err = p.parser.ParseWithClaims(text, claims, func(t *jwt.Token) (any, error) { return p.key(r.Context(), t) })
	if errors.Is(err, errNoKeys) {
		return "", unavailable("tokens cannot be checked right now", err)
	}
	if err != nil {
		return "", problem.New(problem.Unauthorized, whyRefused(err))
	}
	userID, _ = claims["sub"].(string)
	if err := event.CheckUserID(userID); err != nil {
		return "", problem.New(problem.Forbidden, "the token's sub cannot be a user id: it "+err.Error())
	}
	return userID, nil
}

func (p *people) key(ctx context.Context, t *jwt.Token) (any, error) {
	if _, asked := t.Header["crit"]; asked {
		return nil, errors.New("crit names what must be understood") // RFC 7515, 4.1.11: nothing of it is
	}
	kid, _ := t.Header["kid"].(string)
	return p.keys.Find(ctx, kid, t.Method.Alg())
}

// whyRefused says what the person's app may mend; about the rest there is nothing to say.
func whyRefused(err error) string {
	for _, why := range []struct {
		err  error
		text string
	}{
		{jwt.ErrTokenExpired, "the token has expired"},
		{jwt.ErrTokenNotValidYet, "the token is not valid yet"},
		{jwt.ErrTokenInvalidIssuer, "the token is of another issuer"},
		{jwt.ErrTokenInvalidAudience, "the token is for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, "the token has no exp, iss or aud"},
	} {
		if errors.Is(err, why.err) {
			return why.text
		}
	}
	return "the token is not valid"
}
