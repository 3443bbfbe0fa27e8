package gateway

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

func claimBy(token, coupon, body, prefer string) request {
	q := request{method: "POST", path: "/v1/coupons/" + coupon + "/claims", token: token, body: body}
	if prefer != "" {
		q.header = http.Header{"Prefer": {prefer}}
	}
	return q
}

// A person claims for themself with a token of their own, by each sort of key.
func TestGateway_JWT(t *testing.T) {
	t.Parallel()
	byEC, byRSA, byEd := ecSigner(t, "ec"), rsaSigner(t, "rsa"), edSigner(t, "ed")
	i := startIssuer(t, byEC, byRSA, byEd)
	r := newRig(t, i.trust)
	r.put("tea", `{"limit":9}`).is(t, 201, "")

	r.do(claimBy(byEC.sign(t, good("u1")), "tea", `{}`, "wait=9")).is(t, 200, "")
	r.do(claimBy(byRSA.sign(t, good("u2")), "tea", `{"user_id":"u2"}`, "wait=9")).is(t, 200, "")
	r.do(claimBy(byEd.sign(t, with(good("사용자 3"), "aud", []string{"other", "coupons"})), "tea", `{"user_id":"사용자 3"}`, "wait=9")).is(t, 200, "")
	pss := signed(t, jwt.SigningMethodPS256, byRSA.key, "rsa", good("u4"))
	r.do(claimBy(pss, "tea", `{}`, "")).is(t, 401, "unauthorized") // that key is for RS256
	r.do(claimBy(byEC.sign(t, with(good("u5"), "exp", time.Now().Add(-leeway/2).Unix())), "tea", `{}`, "wait=9")).is(t, 200, "")

	got := r.do(claimBy(byEC.sign(t, good("u6")), "tea", `{"user_id":"u7"}`, "")).is(t, 403, "forbidden")
	if !strings.Contains(got.string("detail"), "another person") || strings.Contains(got.text, "u6") {
		t.Errorf("answered %s", got.text)
	}
	r.do(claimBy(byEC.sign(t, good("u6")), "tea", `{"user_id":""}`, "")).is(t, 422, "invalid")
	r.do(claimBy(byEC.sign(t, good("u6")), "tea", `{"user":"u6"}`, "")).is(t, 422, "invalid")
	for _, held := range []string{"u1", "u2", "사용자 3", "u5"} {
		r.claim("tea", held, "").is(t, 409, "duplicate-request") // the guard is theirs
	}
	r.do(request{method: "PUT", path: "/v1/coupons/tea", body: `{"limit":99}`, token: byEC.sign(t, good("u1"))}).is(t, 403, "forbidden")
	if granted := r.get("/v1/coupons/tea").number("granted"); granted != 4 {
		t.Errorf("%d are granted", granted)
	}
}

// A person's claims count for them before the body is read, and it is the same quota whoever claims for them.
func TestGateway_JWTPersonRateLimit(t *testing.T) {
	t.Parallel()
	s := ecSigner(t, "k1")
	i := startIssuer(t, s)
	r := newRig(t, i.trust, func(c *Config) { c.PersonRateLimit = quota(t, "2/1h") })
	token := s.sign(t, good("u1"))
	if got := r.do(claimBy(token, "tea", `{`, "")).is(t, 400, "malformed"); got.header.Get("RateLimit") != `"person";r=1;t=1800` {
		t.Errorf("RateLimit: %s", got.header.Get("RateLimit"))
	}
	r.do(claimBy(token, "tea", `{"user_id":"u2"}`, "")).is(t, 403, "forbidden")
	r.do(claimBy(token, "tea", `{`, "")).is(t, 429, "rate-limited")
	r.claim("tea", "u1", "").is(t, 429, "rate-limited")
	r.claim("tea", "u2", "").is(t, 404, "unknown-coupon")
}

// Whatever is wrong with a token, nobody is let in by it.
func TestGateway_JWTRefused(t *testing.T) {
	t.Parallel()
	s, other, unknown := rsaSigner(t, "k1"), ecSigner(t, "k2"), ecSigner(t, "k9")
	i := startIssuer(t, s, other)
	r := newRig(t, i.trust)
	r.put("tea", `{"limit":9}`).is(t, 201, "")
	ends := r.ends()

	public, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	asSecret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	fine := s.sign(t, good("u"))
	parts := strings.Split(fine, ".")
	forged := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(payload(t, parts[1]), `"u"`, `"v"`, 1)))
	unsigned := signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "k1", good("u"))
	past, future := time.Now().Add(-time.Minute).Unix(), time.Now().Add(time.Minute).Unix()

	for _, c := range []struct {
		what, token string
		status      int
		detail      string
	}{
		{"expired", s.sign(t, with(good("u"), "exp", past)), 401, "has expired"},
		{"never expires", s.sign(t, with(good("u"), "exp", nil)), 401, "has no exp"},
		{"expires as text", s.sign(t, with(good("u"), "exp", "tomorrow")), 401, "not valid"},
		{"not yet", s.sign(t, with(good("u"), "nbf", future)), 401, "not valid yet"},
		{"another issuer", s.sign(t, with(good("u"), "iss", "https://login.example/")), 401, "another issuer"},
		{"no issuer", s.sign(t, with(good("u"), "iss", nil)), 401, ""},
		{"another audience", s.sign(t, with(good("u"), "aud", "shop")), 401, "another audience"},
		{"no audience", s.sign(t, with(good("u"), "aud", nil)), 401, ""},
		{"nobody's signature", unsigned, 401, "not valid"},
		{"the public key as a secret", signed(t, jwt.SigningMethodHS256, asSecret, "k1", good("u")), 401, "not valid"},
		{"a key that is not the issuer's", unknown.sign(t, good("u")), 401, "not valid"},
		{"signed by another, named as the issuer's", signed(t, other.method, unknown.key, "k2", good("u")), 401, "not valid"},
		{"a key for another algorithm", signed(t, other.method, other.key, "k1", good("u")), 401, "not valid"},
		{"no key named, of two", signed(t, s.method, s.key, "", good("u")), 401, "not valid"},
		{"changed", parts[0] + "." + forged + "." + parts[2], 401, "not valid"},
		{"cut", fine[:len(fine)-4], 401, "not valid"},
		{"not base64", parts[0] + "." + parts[1] + "=." + parts[2], 401, "not valid"},
		{"must be understood", s.sign(t, good("u"), "crit", "b64"), 401, "not valid"},
		{"another spelling of the signature", respelled(fine), 401, "not valid"},
		{"two dots", "..", 401, "not valid"},
		{"no token at all", "x", 401, ""},

		{"nobody", s.sign(t, with(good("u"), "sub", nil)), 403, "cannot be a user id"},
		{"another spelling", s.sign(t, with(with(good("u"), "sub", nil), "SUB", "u")), 403, "cannot be a user id"},
		{"nobody's name", s.sign(t, good("")), 403, "cannot be a user id"},
		{"a number", s.sign(t, with(good("u"), "sub", 7)), 403, "cannot be a user id"},
		{"a long name", s.sign(t, good(strings.Repeat("u", 201))), 403, "cannot be a user id"},
		{"a control character", s.sign(t, good("u\n")), 403, "cannot be a user id"},
	} {
		name := map[int]string{401: "unauthorized", 403: "forbidden"}[c.status]
		got := r.do(claimBy(c.token, "tea", `{}`, ""))
		if got.status != c.status || !strings.HasSuffix(got.string("type"), name) || !strings.Contains(got.string("detail"), c.detail) {
			t.Errorf("%s: %d %s", c.what, got.status, got.text)
		}
		if got := r.do(request{method: "PUT", path: "/v1/coupons/tea", body: `{"limit":99}`, token: c.token}); got.status != c.status {
			t.Errorf("%s, to define: %d %s", c.what, got.status, got.text)
		}
	}
	twice := claimBy("", "tea", `{}`, "")
	twice.header = http.Header{"Authorization": {"Bearer " + fine, "Bearer " + fine}}
	r.do(twice).is(t, 401, "unauthorized")
	if after := r.ends(); !maps.Equal(ends, after) {
		t.Errorf("something was appended: %v, then %v", ends, after)
	}
	r.do(claimBy(fine, "tea", `{}`, "wait=9")).is(t, 200, "") // and that one was good
}

// respelled is the same signature where its last character says more bits than there are.
func respelled(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}

func payload(t testing.TB, part string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// lines are what a logger was told.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Without its keys the gateway starts, says what it waits for, and takes the claims of back ends; with them, those of people.
func TestGateway_JWTKeysComeLate(t *testing.T) {
	t.Parallel()
	s := ecSigner(t, "k1")
	i := startIssuer(t, s)
	i.show(http.StatusBadGateway, nil)
	servers := coupontest.Start(t, coupontest.Kafka, coupontest.Redis)
	servers.CreateTopics(t, parts)
	double := startDouble(t, servers, parts)
	var log lines
	service, _ := startLogging(t, servers, log.logger(), i.trust)
	r := &rig{t: t, servers: servers, double: double, service: service}
	eventually(t, "it waits for the keys alone", func() bool {
		return i.fetched.Load() > 2 && strings.Join(service.Ready(), ",") == "the keys for JWTs"
	})
	r.put("tea", `{"limit":9}`).is(t, 201, "")
	r.claim("tea", "u1", "wait=9").is(t, 200, "")
	r.do(claimBy(s.sign(t, good("u2")), "tea", `{}`, "")).is(t, 503, "unavailable")
	r.do(claimBy("nonsense", "tea", `{}`, "")).is(t, 401, "unauthorized")

	i.show(http.StatusOK, []byte(`{"keys":"none"}`)) // is no set either
	before := i.fetched.Load()
	eventually(t, "it has tried again", func() bool { return i.fetched.Load() > before+1 })
	i.publish(s)
	eventually(t, "it is ready", func() bool { return len(service.Ready()) == 0 })
	r.do(claimBy(s.sign(t, good("u2")), "tea", `{}`, "wait=9")).is(t, 200, "")
	if n := strings.Count(log.String(), "keys for JWTs"); n != 2 {
		t.Errorf("%d lines about the keys, want one that they are missing and one that they are there:\n%s", n, log.String())
	}
}

// FuzzPerson: no Authorization header is a person, unless the issuer signed it.
func FuzzPerson(f *testing.F) {
	s := ecSigner(f, "k1")
	set, err := parseKeySet(keySet(f, s))
	if err != nil {
		f.Fatal(err)
	}
	keys := newKeyring("http://127.0.0.1:1", slog.New(slog.DiscardHandler), func() {})
	keys.keys.Store(&set)
	keys.tried = time.Now()
	p := newPeople("https://login.example", "coupons", keys, time.Now)
	fine := s.sign(f, good("u"))
	f.Add("Bearer " + fine)
	f.Add("Bearer ..")
	f.Add("bearer  eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1In0.")
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header["Authorization"] = []string{header}
		if user, err := p.Person(r); err == nil && (user != "u" || !strings.HasSuffix(header, fine)) {
			t.Errorf("%q is %q", header, user)
		}
	})
}

func TestParseKeySet(t *testing.T) {
	rsa := rsaSigner(t, "k1")
	var set map[string][]map[string]any
	if err := json.Unmarshal(keySet(t, rsa), &set); err != nil {
		t.Fatal(err)
	}
	forSigning := set["keys"][0]
	change := func(name string, value any) map[string]any {
		c := maps.Clone(forSigning)
		c[name] = value
		return c
	}
	for what, c := range map[string]struct {
		keys any
		want int
	}{
		"one":                        {[]any{forSigning}, 1},
		"with its certificate":       {[]any{change("x5c", []string{"nonsense"}), change("x5u", "http://evil.example")}, 2},
		"beside a secret":            {[]any{forSigning, map[string]string{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "k2"}}, 1},
		"beside what is not known":   {[]any{forSigning, map[string]string{"kty": "LMS", "kid": "k3"}}, 1},
		"beside one for encrypting":  {[]any{forSigning, change("use", "enc")}, 1},
		"beside another algorithm's": {[]any{forSigning, change("alg", "RSA-OAEP")}, 1},
		"beside a broken one":        {[]any{forSigning, change("n", "?")}, 1},
		"only a secret":              {[]any{map[string]string{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}}, 0},
		"none":                       {[]any{}, 0},
		"no list":                    {"keys", 0},
	} {
		body, err := json.Marshal(map[string]any{"keys": c.keys})
		if err != nil {
			t.Fatal(err)
		}
		if keys, err := parseKeySet(body); len(keys) != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%s: %d keys, %v", what, len(keys), err)
		}
	}
}
