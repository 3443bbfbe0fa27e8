package gateway

import (
	"crypto/sha256"
	"net/http"

	"github.com/firstcome/firstcome/internal/problem"
)

// claimer is who claims.
type claimer struct {
	principal string // "token:<name>" or "jwt:<sub>"; "" where nobody has to say
	user      string // whom a JWT speaks for; "": a back end, which names the person
}

// claimer gives who claims: a back end by its token, or a person by their own JWT.
func (s *Service) claimer(r *http.Request) (claimer, error) {
	if s.cfg.AllowAnonymous && s.cfg.ClaimTokens.Empty() && s.people == nil {
		return claimer{}, nil
	}
	if name, ok := s.cfg.ClaimTokens.Principal(r); ok {
		return claimer{principal: "token:" + name}, nil
	}
	if _, ok := s.cfg.AdminTokens.Principal(r); ok {
		return claimer{}, problem.New(problem.Forbidden, "")
	}
	user, err := s.people.Person(r)
	if err != nil {
		return claimer{}, err
	}
	return claimer{principal: "jwt:" + user, user: user}, nil
}

// speaksFor gives the person whom a claim is for: the one that was named, whom a JWT need not repeat.
func (c claimer) speaksFor(named string) (user string, err error) {
	switch {
	case c.user == "" || named == c.user:
		return named, nil
	case named == "":
		return c.user, nil
	}
	return "", problem.New(problem.Forbidden, "this token speaks for another person")
}

type handler func(http.ResponseWriter, *http.Request) error

// gate is the authentication of a route alone.
type gate func(*http.Request) error

// admins lets operators in. A back end's token, or a person's, is known but may not do this.
func (s *Service) admins(r *http.Request) error {
	if s.cfg.AllowAnonymous && s.cfg.AdminTokens.Empty() {
		return nil
	}
	if _, ok := s.cfg.AdminTokens.Principal(r); ok {
		return nil
	}
	if _, ok := s.cfg.ClaimTokens.Principal(r); !ok {
		if _, err := s.people.Person(r); err != nil {
			return err
		}
	}
	return problem.New(problem.Forbidden, "")
}

func (s *Service) claimers(r *http.Request) error {
	_, err := s.claimer(r)
	return err
}

// mayAsk counts a request of an address. The handler knows best who may ask, and looks at that first; whoever may ask no more
// is seen to by the route's gates instead, so that here too a bad token is told before too many requests.
func (s *Service) mayAsk(w http.ResponseWriter, r *http.Request, who []gate) error {
	if s.addresses == nil {
		return nil
	}
	tooMany := s.addresses.Take(w, askerAt(s.cfg.TrustedProxies.Client(r)))
	if tooMany == nil {
		return nil
	}
	for _, authenticate := range who {
		if err := authenticate(r); err != nil {
			return err
		}
	}
	return tooMany
}

func askerOf(userID string) (id askerID) {
	sum := sha256.Sum256([]byte(userID))
	copy(id[:], sum[:])
	return id
}
