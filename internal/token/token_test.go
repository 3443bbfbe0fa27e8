package token

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestSet_Principal(t *testing.T) {
	s, err := Parse("shop=old-secret, shop=new-secret ,app=c2VjcmV0cw==,")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		headers []string
		want    string
	}{
		{"a token", []string{"Bearer c2VjcmV0cw=="}, "app"},
		{"the old one of a rotation", []string{"Bearer old-secret"}, "shop"},
		{"the new one of a rotation", []string{"Bearer new-secret"}, "shop"},
		{"the scheme's case does not matter", []string{"bearer new-secret"}, "shop"},
		{"spaces after the scheme", []string{"Bearer   new-secret"}, "shop"},
		{"nothing", nil, ""},
		{"empty", []string{""}, ""},
		{"no token", []string{"Bearer"}, ""},
		{"an empty token", []string{"Bearer "}, ""},
		{"no scheme", []string{"new-secret"}, ""},
		{"another scheme", []string{"Basic new-secret"}, ""},
		{"a wrong one", []string{"Bearer new-secrex"}, ""},
		{"the beginning of one", []string{"Bearer new-secre"}, ""},
		{"one and more", []string{"Bearer new-secrets"}, ""},
		{"the token's case matters", []string{"Bearer NEW-SECRET"}, ""},
		{"name and token", []string{"Bearer shop=new-secret"}, ""},
		{"two headers", []string{"Bearer new-secret", "Bearer new-secret"}, ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		for _, h := range tt.headers {
			r.Header.Add("Authorization", h)
		}
		if got, ok := s.Principal(r); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, %v", tt.name, got, ok)
		}
	}
	if s.Empty() {
		t.Error("the set is empty")
	}
}

func TestSet_empty(t *testing.T) {
	for _, list := range []string{"", " ", ",", " , "} {
		s, err := Parse(list)
		if err != nil || !s.Empty() {
			t.Errorf("%q: %v %v", list, s, err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer ")
		if name, ok := s.Principal(r); ok {
			t.Errorf("nobody's token is %q's", name)
		}
	}
}

// All that is wrong is told, and nothing of a secret.
func TestParse_refuses(t *testing.T) {
	for _, tt := range []struct {
		list string
		want []string
	}{
		{"hush", []string{"token 1: must be name=secret"}},
		{"shop=", []string{"token 1: must be name=secret"}},
		{"=hush", []string{"token 1: the name"}},
		{"a shop=hush", []string{"token 1: the name"}},
		{"shop=hu sh", []string{"token 1: the secret"}},
		{"shop=hush\x00", []string{"token 1: the secret"}},
		{"shop==", []string{"token 1: the secret"}},
		{"shop=hu=sh", []string{"token 1: the secret"}},
		{"shop=hush,app=hush", []string{"token 2: has the secret of another name"}},
		{"hush,shop=ok,=hush", []string{"token 1: must be", "token 3: the name"}},
	} {
		s, err := Parse(tt.list)
		if err == nil {
			t.Errorf("%q is taken as %v", tt.list, s)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %s", tt.list, err, want)
			}
		}
		if strings.Contains(err.Error(), "hu") {
			t.Errorf("%q: %v tells a secret", tt.list, err)
		}
		if !s.Empty() {
			t.Errorf("%q: %v is let in all the same", tt.list, s)
		}
	}
}

func TestSet_neverPrints(t *testing.T) {
	var config struct{ Tokens Set }
	if err := config.Tokens.UnmarshalText([]byte("shop=hush")); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(verb, config); strings.Contains(got, "hush") || strings.Contains(got, "68757368") {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	if got := config.Tokens.LogValue().String(); got != "tokens of [shop]" {
		t.Errorf("logged as %s", got)
	}
	if err := config.Tokens.UnmarshalText([]byte("nonsense")); err == nil || config.Tokens.Empty() {
		t.Errorf("%v %v", err, config.Tokens)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("shop=old-secret, shop=new-secret ,app=c2VjcmV0cw==,")
	f.Fuzz(func(t *testing.T, list string) {
		s, err := Parse(list)
		if err != nil && !s.Empty() {
			t.Errorf("%q: %v and %v", list, s, err)
		}
	})
}
