package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/pkg/coupontest"
)

func TestConfig_FrontProblems(t *testing.T) {
	for name, bad := range map[string][]string{
		"MAX_IN_FLIGHT": {"-1", "many"}, "MAX_CONNECTIONS": {"-1"},
		"PERSON_RATE_LIMIT": {"20", "0/1m"}, "ADDRESS_RATE_LIMIT": {"x/1m", "20/1ms"}, "TRUSTED_PROXIES": {"10.0.0.0/33", "proxy"},
		"JWT_JWKS_URL": {"login.example/keys", "http://login.example/keys", "ftp://login.example", "https://", "https://user:hush@login.example/", "http://127.0.0.1.example/"},
		"JWT_ISSUER":   {"https://login.example"}, "JWT_AUDIENCE": {"coupons"}, // without the URL
		"TLS_CERT": {"cert.pem"}, // without the key
		"CORS_ORIGINS": {"*", "null", "https://*.example", "https://shop.example/", "https://shop.example/page", "shop.example", "https://Shop.example",
			"https://shop.example,https://a b", "https://shop.example, https://b.example", "https://u@shop.example"},
	} {
		for _, value := range bad {
			t.Run(name+"="+value, func(t *testing.T) {
				t.Setenv(name, value)
				var problems *env.Error
				if err := env.Load(&Config{}); !errors.As(err, &problems) {
					t.Fatal(err)
				}
				found := slices.DeleteFunc(problems.Problems, func(p string) bool { return !strings.HasPrefix(p, name) })
				if len(found) != 1 || strings.Contains(found[0], "hush") {
					t.Errorf("the problems with it: %q", found)
				}
			})
		}
	}
}

func TestConfig_Front(t *testing.T) {
	for name, value := range map[string]string{
		"KAFKA_BROKERS": "localhost:9092", "REDIS_ADDR": "localhost:6379", "ADMIN_TOKENS": "root=secret", "CLAIM_ID_KEYS": "1=" + testKey('k'),
		"JWT_JWKS_URL": "https://login.example/keys", "JWT_ISSUER": "https://login.example/", "JWT_AUDIENCE": "coupons", // so no CLAIM_TOKENS
		"PERSON_RATE_LIMIT": "20/1m", "TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1", "CORS_ORIGINS": "https://shop.example,http://localhost:3000",
	} {
		t.Setenv(name, value)
	}
	var cfg Config
	if err := env.Load(&cfg); err != nil {
		t.Fatal(err)
	}
	if cfg.MaxInFlight != defaultFlight || cfg.MaxConnections != defaultConns || cfg.MaxWaiters != defaultWaiters {
		t.Errorf("the defaults are %d, %d and %d", cfg.MaxInFlight, cfg.MaxConnections, cfg.MaxWaiters)
	}
	if cfg.PersonRateLimit != (Quota{20, time.Minute}) || cfg.AddressRateLimit != (Quota{}) || len(cfg.TrustedProxies.networks) != 2 || len(cfg.CORSOrigins) != 2 {
		t.Errorf("read as %+v", cfg)
	}
}

// A page of an origin that was named may ask, be told everything a client needs, and need not ask twice whether it may.
func TestGateway_CORS(t *testing.T) {
	t.Parallel()
	const shop = "https://shop.example"
	r := newRig(t, func(c *Config) { c.CORSOrigins = []string{shop}; c.PersonRateLimit = quota(t, "9/1m") })
	r.put("tea", `{"limit":9}`).is(t, 201, "")
	preflight := func(origin, method, headers string) http.Header {
		got := r.do(request{method: "OPTIONS", path: "/v1/coupons/tea/claims", header: http.Header{
			"Origin": {origin}, "Access-Control-Request-Method": {method}, "Access-Control-Request-Headers": {headers}}})
		if got.status != http.StatusNoContent || got.text != "" {
			t.Errorf("a preflight is answered %d %s", got.status, got.text)
		}
		return got.header
	}
	h := preflight(shop, "POST", "authorization,content-type,idempotency-key,prefer")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": shop, "Access-Control-Allow-Methods": "POST", "Access-Control-Max-Age": "7200",
		"Access-Control-Allow-Headers": "authorization,content-type,idempotency-key,prefer", "Access-Control-Allow-Credentials": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for what, h := range map[string]http.Header{
		"another origin": preflight("https://evil.example", "POST", "authorization"), "its subdomain": preflight("https://x.shop.example", "POST", "authorization"),
		"without TLS": preflight("http://shop.example", "POST", "authorization"), "no origin": preflight("null", "POST", "authorization"),
		"another method": preflight(shop, "DELETE", "authorization"), "another header": preflight(shop, "POST", "x-forwarded-for"),
	} {
		if got := h.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s may ask: %q", what, got)
		}
	}
	q := claimRequest("tea", "u", "wait=9")
	q.header.Set("Origin", shop)
	got := r.do(q).is(t, 200, "").header
	exposed := got.Get("Access-Control-Expose-Headers")
	for _, name := range []string{"Location", "Retry-After", "Preference-Applied", "X-Correlation-Id", "Ratelimit", "Ratelimit-Policy"} {
		if !strings.Contains(strings.ToLower(exposed), strings.ToLower(name)) {
			t.Errorf("%s is not exposed: %s", name, exposed)
		}
	}
	if got.Get("Access-Control-Allow-Origin") != shop || !strings.Contains(got.Get("Vary"), "Origin") {
		t.Errorf("answered with %v", got)
	}
	refusal := r.do(q).is(t, 409, "duplicate-request").header // which the page must be able to read as well
	if refusal.Get("Access-Control-Allow-Origin") != shop {
		t.Errorf("refused with %v", refusal)
	}
	q.header.Set("Origin", "https://evil.example")
	if got := r.do(q); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin reads %v", got.header)
	}
	r.do(request{method: "OPTIONS", path: "/v1/coupons/tea"}).is(t, 405, "method-not-allowed")
}

// Every answer says it, once: of any route, of none, also what a panic leaves.
func TestGateway_SecurityHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	for _, q := range []request{
		claimRequest("tea", "u", "wait=9"), claimRequest("tea", "u", ""), {method: "GET", path: "/v1/coupons/tea"}, {method: "GET", path: "/v1/coupons"},
		{method: "GET", path: "/v1/claims/x"}, {method: "GET", path: "/nowhere"}, {method: "OPTIONS", path: "/v1/coupons/tea"}, {method: "PUT", path: "/v1/coupons/tea"},
	} {
		got := r.do(q)
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Strict-Transport-Security": "",
		} {
			if values := got.header.Values(name); strings.Join(values, "|") != want {
				t.Errorf("%s %s: %s is %q, want %q", q.method, q.path, name, values, want)
			}
		}
	}
}

// pair writes a new certificate for 127.0.0.1 into the files.
func pair(t testing.TB, certFile, keyFile string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// With a certificate everything is TLS, HTTP/2 where the client likes, and browsers are told to stay with it.
func TestGateway_TLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	cert := pair(t, certFile, keyFile)
	r := newRig(t, func(c *Config) { c.CertFile, c.KeyFile = certFile, keyFile })
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	for _, proto := range []string{"HTTP/2.0", "HTTP/1.1"} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: proto == "HTTP/2.0"}}
		res, err := client.Get("https://" + r.service.Addr().String() + "/v1/coupons")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		client.CloseIdleConnections()
		if res.StatusCode != http.StatusOK || res.Proto != proto || res.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("answered %s %s, %v", res.Proto, res.Status, res.Header)
		}
	}
	old, err := tls.Dial("tcp", r.service.Addr().String(), &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11})
	if err == nil {
		old.Close()
		t.Error("TLS 1.1 is spoken")
	}
	if res, err := http.Get("http://" + r.service.Addr().String() + "/v1/coupons"); err == nil {
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("without TLS: %s", res.Status)
		}
	}
}

func TestNew_BadCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	pair(t, certFile, filepath.Join(dir, "other.key"))
	pair(t, filepath.Join(dir, "other.crt"), keyFile)
	cfg := testConfig(t, &coupontest.Servers{Brokers: []string{"127.0.0.1:1"}, RedisAddr: "127.0.0.1:1", RedisPrefix: "x"})
	for what, files := range map[string][2]string{"do not fit": {certFile, keyFile}, "are not there": {certFile, "nowhere"}, "are swapped": {keyFile, certFile}} {
		cfg.CertFile, cfg.KeyFile = files[0], files[1]
		if _, err := New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), "TLS_CERT") {
			t.Errorf("files that %s: %v", what, err)
		}
	}
}

// Beyond the bound a connection waits until another one ends, and is served then.
func TestGateway_MaxConnections(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxConnections = 2 })
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", r.service.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "GET /v1/coupons HTTP/1.1\r\nHost: x\r\n\r\n")
		return conn
	}
	answered := func(conn net.Conn, within time.Duration) bool {
		_ = conn.SetReadDeadline(time.Now().Add(within))
		b := make([]byte, len("HTTP/1.1 200"))
		_, err := io.ReadFull(conn, b)
		return err == nil && string(b) == "HTTP/1.1 200"
	}
	first, second := dial(), dial()
	defer second.Close()
	if !answered(first, soon) || !answered(second, soon) {
		t.Fatal("the first two are not answered")
	}
	third := dial()
	defer third.Close()
	if answered(third, 50*time.Millisecond) {
		t.Error("a third connection is served")
	}
	first.Close()
	if !answered(third, soon) {
		t.Error("the third is not served when a place is free")
	}
}
