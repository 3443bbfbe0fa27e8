package gateway

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
)

// A whole story, the servers' failures included, leaves no secret and nobody's id in the gateway's log, at any level. (A
// coupon's id is no secret, and stands in the error about what is damaged.)
func TestGateway_LogsTellNothing(t *testing.T) {
	t.Parallel()
	const (
		admin, shop, key = "hush-admin-7391", "hush-shop-7392", "hush-key-of-32-bytes-0123456789ab"
		person, other    = "person-7393", "person-7394"
		coupon, unknown  = "coupon-7395", "coupon-7396"
		address          = "203.0.113.97"
		idempotency      = "idempotency-7397"
	)
	s := ecSigner(t, "kid-7398")
	i := startIssuer(t, s)
	servers := coupontest.StartAlone(t, coupontest.Kafka, coupontest.Redis)
	servers.CreateTopics(t, parts)
	double := startDouble(t, servers, parts)
	var log lines
	service, stop := startLogging(t, servers, log.logger(), func(c *Config) {
		i.trust(c)
		c.AdminTokens, c.ClaimTokens = tokens(t, "root="+admin), tokens(t, "shop="+shop)
		c.ClaimIDKeys = "1=" + base64.StdEncoding.EncodeToString([]byte(key[:32]))
		c.PersonRateLimit, c.AddressRateLimit = quota(t, "6/1h"), quota(t, "1000/1h")
		if err := c.TrustedProxies.UnmarshalText([]byte("127.0.0.1")); err != nil {
			t.Fatal(err)
		}
	})
	r := &rig{t: t, servers: servers, double: double, service: service}
	eventually(t, "the gateway is ready", func() bool { return len(service.Ready()) == 0 })

	jwt := s.sign(t, good(person))
	forged := jwt[:len(jwt)-10] + "hush-7399x"
	secrets := []string{admin, shop, key[:32], base64.StdEncoding.EncodeToString([]byte(key[:32])), jwt, forged, jwt[strings.LastIndexByte(jwt, '.'):],
		"hush", person, other, unknown, address, idempotency, "kid-7398"}
	ask := func(q request) reply {
		t.Helper()
		if q.header == nil {
			q.header = http.Header{}
		}
		q.header.Set("X-Forwarded-For", address)
		q.header.Set("Idempotency-Key", idempotency)
		a := r.do(q)
		if id := a.string("claim_id"); id != "" {
			secrets = append(secrets, id)
		}
		return a
	}
	body := func(user string) string { return `{"user_id":"` + user + `"}` }

	ask(request{method: "PUT", path: "/v1/coupons/" + coupon, body: `{"limit":9}`, token: admin}).is(t, 201, "")
	id := ask(claimBy(jwt, coupon, `{}`, "wait=9")).is(t, 200, "").string("claim_id")
	ask(claimBy(jwt, coupon, `{}`, "wait=9"))
	ask(claimBy(jwt, coupon, body(other), "")).is(t, 403, "forbidden")
	ask(claimBy(forged, coupon, `{}`, "")).is(t, 401, "unauthorized")
	ask(claimBy(s.sign(t, good(person+"\n")), coupon, `{}`, "")).is(t, 403, "forbidden")
	ask(claimBy(shop, coupon, body(other), "")).is(t, 202, "")
	ask(claimBy(shop, unknown, body(other), "")).is(t, 404, "unknown-coupon")
	ask(claimBy(shop, coupon, `{"user_id":"`+person+`","`+other+`":1}`, "")).is(t, 422, "invalid")
	ask(claimBy(shop, coupon, `{"`+person, "")).is(t, 400, "malformed")
	ask(claimBy(shop+"x", coupon, body(person), "")).is(t, 401, "unauthorized")
	ask(claimBy(admin, coupon, body(person), "")).is(t, 403, "forbidden")
	for range 6 {
		ask(claimBy(shop, unknown, body(person), ""))
	}
	ask(claimBy(shop, unknown, body(person), "")).is(t, 429, "rate-limited")
	for _, path := range []string{"/v1/claims/" + id, "/v1/claims/" + id[:len(id)-1], "/v1/coupons/" + coupon, "/v1/coupons/" + coupon + "/grant?user_id=" + person,
		"/v1/coupons?after=" + coupon, "/v1/coupons?limit=" + person, "/" + person} {
		ask(request{method: "GET", path: path})
	}
	odd := request{method: "GET", path: "/v1/coupons/" + coupon, header: http.Header{"X-Correlation-Id": {"corr-7400"}}}
	ask(odd)

	// What is in Redis may be damaged, and the errors about it tell where.
	keys := redislayout.New(servers.RedisPrefix, event.Partition(coupon, parts))
	for user, damage := range map[string]string{"person-7401": "nonsense", "person-7402": "1:x"} {
		secrets = append(secrets, user)
		if err := double.redis.HSet(t.Context(), keys.Granted(coupon, ""), user, damage).Err(); err != nil {
			t.Fatal(err)
		}
		ask(claimBy(shop, coupon, body(user), ""))
	}
	if err := double.redis.Set(t.Context(), keys.Guard(coupon, "", "person-7403"), "nonsense", 0).Err(); err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, "person-7403")
	ask(claimBy(shop, coupon, body("person-7403"), ""))
	double.redis.HSet(t.Context(), keys.Coupon(coupon), redislayout.DefinitionField(0), "nonsense")
	ask(request{method: "GET", path: "/v1/coupons/" + coupon})
	ask(claimBy(shop, coupon, body("person-7404"), ""))
	secrets = append(secrets, "person-7404")

	servers.Kill(t, coupontest.Redis)
	ask(claimBy(shop, coupon, body(other), "")).is(t, 503, "unavailable")
	ask(request{method: "GET", path: "/v1/claims/" + id}).is(t, 503, "unavailable")
	servers.Restart(t, coupontest.Redis)
	eventually(t, "Redis is back", func() bool { return service.redis.Up() })
	r.Write()
	servers.Kill(t, coupontest.Kafka)
	ask(claimBy(shop, coupon, body("person-7405"), "")).is(t, 503, "unavailable")
	secrets = append(secrets, "person-7405")
	_ = stop() // Kafka is not there to say goodbye to

	text := log.String()
	for _, secret := range secrets {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))} {
			if at := strings.Index(text, form); at >= 0 {
				t.Errorf("%q is in the log:\n%s", secret, lineAt(text, at))
			}
		}
	}
	requests := 0
	for line := range strings.Lines(text) {
		var l struct{ Msg, Level string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Errorf("no JSON: %s", line)
		}
		if l.Msg == "request" {
			requests++
		}
	}
	if requests < 30 || !strings.Contains(text, "corr-7400") || !strings.Contains(text, `"level":"WARN"`) {
		t.Errorf("%d requests were logged: that cannot be the whole story:\n%s", requests, text)
	}
}

func lineAt(text string, at int) string {
	begin := strings.LastIndexByte(text[:at], '\n') + 1
	end := strings.IndexByte(text[at:], '\n')
	return text[begin : at+end]
}

// An id outlives the key that sealed it only as long as that key is kept.
func TestGateway_ClaimIDKeysRotate(t *testing.T) {
	t.Parallel()
	r := newRig(t) // key 1
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	id := r.claim("tea", "u", "wait=9").is(t, 200, "").string("claim_id")
	look := func(keys string) (*Service, reply) {
		s, _ := startGateway(t, r.servers, func(c *Config) { c.ClaimIDKeys = keys })
		eventually(t, "it is ready", func() bool { return len(s.Ready()) == 0 })
		return s, do(t, s, request{method: "GET", path: "/v1/claims/" + id})
	}
	both, told := look("2=" + testKey('n') + ",1=" + testKey('k'))
	again := told.is(t, 200, "").string("claim_id")
	if again == id || told.string("status") != "granted" {
		t.Errorf("told %s: want the grant under an id of the new key", told.text)
	}
	if got := r.get("/v1/claims/" + again); got.status != http.StatusNotFound {
		t.Errorf("an id of a key that is not there: %d", got.status)
	}
	do(t, both, request{method: "GET", path: "/v1/claims/" + again}).is(t, 200, "")
	only, gone := look("2=" + testKey('n'))
	gone.is(t, 404, "unknown-claim")
	do(t, only, request{method: "GET", path: "/v1/claims/" + again}).is(t, 200, "")
}
