package gateway

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// signer is one key of an issuer of JWTs.
type signer struct {
	id     string
	method jwt.SigningMethod
	key    crypto.Signer
}

// issuer stands for the service where people log in.
type issuer struct {
	t       testing.TB
	server  *httptest.Server
	mu      sync.Mutex
	body    []byte
	status  int
	fetched atomic.Int64
}

func startIssuer(t testing.TB, keys ...signer) *issuer {
	t.Helper()
	i := &issuer{t: t}
	i.publish(keys...)
	i.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.fetched.Add(1)
		i.mu.Lock()
		defer i.mu.Unlock()
		w.WriteHeader(i.status)
		_, _ = w.Write(i.body)
	}))
	t.Cleanup(i.server.Close)
	return i
}

// publish makes these the keys that the issuer shows.
func (i *issuer) publish(keys ...signer) {
	i.t.Helper()
	i.show(http.StatusOK, keySet(i.t, keys...))
}

func (i *issuer) show(status int, body []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status, i.body = status, body
}

func keySet(t testing.TB, keys ...signer) []byte {
	t.Helper()
	set := jwkset.NewMemoryStorage()
	for _, k := range keys {
		options := jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: k.id, ALG: jwkset.ALG(k.method.Alg()), USE: jwkset.UseSig}}
		public, err := jwkset.NewJWKFromKey(k.key.Public(), options)
		if err != nil {
			t.Fatal(err)
		}
		if err := set.KeyWrite(t.Context(), public); err != nil {
			t.Fatal(err)
		}
	}
	body, err := set.JSONPublic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func (i *issuer) trust(c *Config) {
	c.JWTKeys, c.JWTIssuer, c.JWTAudience = i.server.URL, "https://login.example", "coupons"
}

func ecSigner(t testing.TB, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, jwt.SigningMethodES256, key}
}

func rsaSigner(t testing.TB, id string) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, jwt.SigningMethodRS256, key}
}

func edSigner(t testing.TB, id string) signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, jwt.SigningMethodEdDSA, key}
}

// good are the claims of a token that is as it should be.
func good(sub string) jwt.MapClaims {
	return jwt.MapClaims{"iss": "https://login.example", "aud": "coupons", "sub": sub, "exp": time.Now().Add(time.Hour).Unix()}
}

func with(claims jwt.MapClaims, name string, value any) jwt.MapClaims {
	claims = maps.Clone(claims)
	if claims[name] = value; value == nil {
		delete(claims, name)
	}
	return claims
}

func (s signer) sign(t testing.TB, claims jwt.MapClaims, header ...string) string {
	t.Helper()
	return signed(t, s.method, s.key, s.id, claims, header...)
}

func signed(t testing.TB, method jwt.SigningMethod, key any, id string, claims jwt.MapClaims, header ...string) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if id != "" {
		token.Header["kid"] = id
	}
	for i := 0; i < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
