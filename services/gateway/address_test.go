package gateway

import (
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestProxies_Client(t *testing.T) {
	const trusted = "10.0.0.0/8, 2001:db8:1::/48,192.0.2.7,::ffff:172.16.0.0/108"
	for _, c := range []struct {
		what, connection string
		forwarded        []string
		want             string
	}{
		{"nobody is forwarded", "203.0.113.1:999", nil, "203.0.113.1"},
		{"a stranger says for whom", "203.0.113.1:999", []string{"198.51.100.1"}, "203.0.113.1"},
		{"a proxy says for whom", "10.1.2.3:999", []string{"198.51.100.1"}, "198.51.100.1"},
		{"a proxy by its own address", "192.0.2.7:999", []string{"198.51.100.1"}, "198.51.100.1"},
		{"its neighbour is a stranger", "192.0.2.8:999", []string{"198.51.100.1"}, "192.0.2.8"},
		{"the client made one up", "10.1.2.3:999", []string{"192.0.2.99, 198.51.100.1"}, "198.51.100.1"},
		{"the client made up a proxy", "10.1.2.3:999", []string{"192.0.2.99, 10.9.9.9, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.1.2.3:999", []string{"192.0.2.99, 198.51.100.1, 10.9.9.9"}, "198.51.100.1"},
		{"two lines", "10.1.2.3:999", []string{"192.0.2.99", "198.51.100.1,10.9.9.9"}, "198.51.100.1"},
		{"with its port", "10.1.2.3:999", []string{"198.51.100.1:5555"}, "198.51.100.1"},
		{"IPv6 with its port", "10.1.2.3:999", []string{"[2001:db8:2::1]:5555"}, "2001:db8:2::1"},
		{"IPv6 with a zone", "10.1.2.3:999", []string{"fe80::1%eth0"}, "fe80::1"},
		{"a proxy by IPv6", "[2001:db8:1::9]:999", []string{"198.51.100.1"}, "198.51.100.1"},
		{"IPv4 within IPv6 connects", "[::ffff:10.1.2.3]:999", []string{"198.51.100.1"}, "198.51.100.1"},
		{"IPv4 within IPv6 is forwarded", "10.1.2.3:999", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"a network of IPv4 within IPv6", "172.16.3.3:999", []string{"198.51.100.1"}, "198.51.100.1"},
		{"a proxy asks for itself", "10.1.2.3:999", nil, "10.1.2.3"},
		{"only proxies", "10.1.2.3:999", []string{"10.4.4.4, 10.9.9.9"}, "10.4.4.4"},
		{"nonsense", "10.1.2.3:999", []string{"nonsense"}, "10.1.2.3"},
		{"nonsense on the left", "10.1.2.3:999", []string{"nonsense, 198.51.100.1"}, "198.51.100.1"},
		{"nonsense behind a proxy", "10.1.2.3:999", []string{"198.51.100.1, nonsense, 10.9.9.9"}, "10.9.9.9"},
		{"nothing between commas", "10.1.2.3:999", []string{"198.51.100.1,,"}, "10.1.2.3"},
		{"no TCP", "@", []string{"198.51.100.1"}, "invalid IP"},
	} {
		var p Proxies
		if err := p.UnmarshalText([]byte(trusted)); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.connection
		for _, line := range c.forwarded {
			r.Header.Add("X-Forwarded-For", line)
		}
		if got := p.Client(r).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func TestProxies_Problems(t *testing.T) {
	for _, bad := range []string{"10.0.0.0/33", "10.0.0.0/8;192.0.2.1", "proxy.example", "10.0.0"} {
		var p Proxies
		if err := p.UnmarshalText([]byte(bad)); err == nil || p.networks != nil {
			t.Errorf("%q is read as %v, %v", bad, p, err)
		}
	}
}

func TestAskerAt(t *testing.T) {
	seen := map[askerID]string{}
	for _, addr := range []string{"203.0.113.1", "203.0.113.2", "2001:db8::1", "2001:db8:0:1::1", "::1", "0.0.0.0"} {
		id := askerAt(netip.MustParseAddr(addr))
		if other, taken := seen[id]; taken {
			t.Errorf("%s and %s are the same asker", addr, other)
		}
		seen[id] = addr
	}
	if askerAt(netip.MustParseAddr("2001:db8::1")) != askerAt(netip.MustParseAddr("2001:db8::ffff:ffff:ffff:ffff")) {
		t.Error("one network of 64 bits is two askers")
	}
	_ = askerAt(netip.Addr{})
}

// FuzzProxies_Client: whatever stands on the left of what a trusted proxy added, the client is who the proxy says.
func FuzzProxies_Client(f *testing.F) {
	for _, seed := range []string{"", "198.51.100.9", "10.0.0.1", ",", "x, [::1]:80", "\x00", "198.51.100.9:1, ::ffff:1.2.3.4"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, made string) {
		var p Proxies
		if err := p.UnmarshalText([]byte("10.0.0.0/8")); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.1.2.3:999"
		r.Header["X-Forwarded-For"] = []string{made + ", 203.0.113.1"}
		if got := p.Client(r).String(); got != "203.0.113.1" {
			t.Errorf("with %q on its left the client is %s", made, got)
		}
	})
}
