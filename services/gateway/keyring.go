package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"

	"github.com/firstcome/firstcome/pkg/broker"
)

const (
	keysEach     = 15 * time.Minute // how often the keys are fetched anew
	strangerEach = 10 * time.Second // how often at most because of a key that is not among them
	fetchTimeout = 3 * time.Second
	maxKeySet    = 1 << 20 // bytes
)

// algorithms are those whose verifying key is no secret: with another, whoever can check a token could make one.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

var (
	errNoKeys  = errors.New("the keys were never fetched")
	errNoKey   = errors.New("no such key")
	errKeyUses = errors.New("the token names no key, and there are several")
)

// keyring holds the public keys of the issuer of JWTs, from its JSON Web Key Set (RFC 7517). They are fetched again and
// again, and when a token names one that is not there. What was fetched stays until something newer is.
type keyring struct {
	url    string
	client *http.Client
	log    *slog.Logger
	found  func() // tells the list of what is waited for

	keys   atomic.Pointer[[]verifyingKey] // nil until fetched
	turn   chan struct{}                  // holds a value while somebody fetches
	tried  time.Time
	failed bool
}

type verifyingKey struct {
	id, algorithm string // either may be ""
	key           any
}

func newKeyring(url string, log *slog.Logger, found func()) *keyring {
	return &keyring{url: url, log: log, found: found, turn: make(chan struct{}, 1), client: &http.Client{
		Timeout:       fetchTimeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it could lead to where no TLS is
	}}
}

// Run keeps the keys fresh until ctx ends.
func (k *keyring) Run(ctx context.Context) {
	defer k.client.CloseIdleConnections()
	var retry broker.Backoff
	for ctx.Err() == nil {
		if k.refresh(ctx, 0) != nil {
			_ = retry.Wait(ctx) // the loop looks at ctx
			continue
		}
		retry.Reset()
		select {
		case <-time.After(keysEach):
		case <-ctx.Done():
		}
	}
}

// Find gives the key with that id for that algorithm. A stranger is looked for in a newer set, where the last one is old
// enough: several at once wait for the same one.
func (k *keyring) Find(ctx context.Context, id, algorithm string) (any, error) {
	key, err := k.find(id, algorithm)
	if !errors.Is(err, errNoKey) {
		return key, err
	}
	if err := k.refresh(context.WithoutCancel(ctx), strangerEach); err != nil { // whoever asked may go, others wait for it too
		return nil, fmt.Errorf("%w: %w", errNoKeys, err) // it may well be among those that are there by now
	}
	return k.find(id, algorithm)
}

func (k *keyring) find(id, algorithm string) (any, error) {
	keys := k.keys.Load()
	if keys == nil {
		return nil, errNoKeys
	}
	if id == "" && len(*keys) > 1 {
		return nil, errKeyUses
	}
	for _, key := range *keys {
		if (id == "" || key.id == id) && key.fits(algorithm) {
			return key.key, nil
		}
	}
	return nil, errNoKey
}

// fits keeps a key to the one algorithm it is for.
func (v verifyingKey) fits(algorithm string) bool {
	if v.algorithm != "" && v.algorithm != algorithm {
		return false
	}
	switch key := v.key.(type) {
	case *rsa.PublicKey:
		return algorithm[:2] == "RS" || algorithm[:2] == "PS"
	case *ecdsa.PublicKey:
		return algorithm == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[key.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}

// refresh fetches the keys, unless that was tried within the last age: then it gives what came of it.
func (k *keyring) refresh(ctx context.Context, age time.Duration) error {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if !k.tried.IsZero() && time.Since(k.tried) < age {
		if k.failed {
			return errors.New("the last try failed")
		}
		return nil
	}
	keys, err := k.fetch(ctx)
	if ctx.Err() != nil {
		return ctx.Err() // which says nothing about the keys
	}
	k.tried = time.Now()
	k.note(keys, err)
	return err
}

// note says what changed, once.
func (k *keyring) note(keys []verifyingKey, err error) {
	failed := err != nil
	first := k.keys.Load() == nil
	if !failed {
		k.keys.Store(&keys)
		if first {
			k.found()
		}
		if first || k.failed {
			k.log.Info("fetched the keys for JWTs", "url", k.url, "keys", len(keys))
		}
	} else if !k.failed {
		k.log.Warn("the keys for JWTs cannot be fetched", "url", k.url, "error", err.Error())
	}
	k.failed = failed
}

func (k *keyring) fetch(ctx context.Context) ([]verifyingKey, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := k.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered with status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet))
	if err != nil {
		return nil, err
	}
	return parseKeySet(body)
}

// parseKeySet takes the keys that can verify signatures. Others, and those of kinds that are not known, may stand beside
// them.
func parseKeySet(body []byte) ([]verifyingKey, error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("is no JSON Web Key Set")
	}
	var keys []verifyingKey
	for _, m := range set.Keys {
		if m.USE != "" && m.USE != jwkset.UseSig {
			continue
		}
		m.X5C, m.X5U, m.X5T, m.X5TS256 = nil, "", "", "" // the key itself is trusted, since the set is
		key, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipAll: true})
		if err != nil {
			continue
		}
		v := verifyingKey{m.KID, string(m.ALG), key.Key()}
		for _, algorithm := range algorithms {
			if v.fits(algorithm) {
				keys = append(keys, v)
				break
			}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("has no key that verifies signatures by one of the algorithms that are taken")
	}
	return keys, nil
}
