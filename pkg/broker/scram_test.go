package broker

import (
	"context"
	"regexp"
	"strings"
	"testing"
)

// The conversation of RFC 7677, section 3.
const (
	rfcNonce   = "rOprNGfwEbeRWgbNEkqO"
	rfcFirst   = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
	rfcAsks    = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	rfcAnswer  = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	rfcOutcome = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
)

// converse plays the broker, and gives what we say and the error.
func converse(t *testing.T, user, nonce string, broker ...string) (said []string, err error) {
	t.Helper()
	s := newScram(ScramSHA256, user, "pencil")
	s.nonce = func() string { return nonce }
	session, first, err := s.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	said = []string{string(first)}
	for i, challenge := range broker {
		done, answer, err := session.Next(context.Background(), []byte(challenge))
		if err != nil {
			return said, err
		}
		if done != (i == 1) {
			t.Fatalf("after %d messages it is done: %v", i+1, done)
		}
		if !done {
			said = append(said, string(answer))
		}
	}
	return said, nil
}

func TestScram(t *testing.T) {
	said, err := converse(t, "user", rfcNonce, rfcAsks, rfcOutcome)
	if want := []string{rfcFirst, rfcAnswer}; err != nil || strings.Join(said, " ") != strings.Join(want, " ") {
		t.Errorf("said %q, %v", said, err)
	}
	if said, _ := converse(t, "a=b,c", "x"); said[0] != "n,,n=a=3Db=2Cc,r=x" {
		t.Errorf("a name with = and , is said as %q", said[0])
	}
	if a, b := newScram(ScramSHA512, "u", "p").nonce(), newScram(ScramSHA512, "u", "p").nonce(); a == b || len(a) < 20 {
		t.Errorf("nonces %q and %q", a, b)
	}
	asks := func(old, new string) []string { return []string{strings.Replace(rfcAsks, old, new, 1), rfcOutcome} }
	for _, tt := range []struct {
		name   string
		broker []string
		want   string
	}{
		{"a broker that does not know the password", []string{rfcAsks, "v=AAAA"}, "does not know the password itself"},
		{"a signature without a name", []string{rfcAsks, rfcOutcome[2:]}, "does not know the password itself"},
		{"no signature", []string{rfcAsks, ""}, "does not know the password itself"},
		{"a refusal", []string{rfcAsks, "e=invalid-proof"}, `says "invalid-proof"`},
		{"a refusal at once", []string{"e=unknown-user"}, `says "unknown-user"`},
		{"another nonce", asks("r=r", "r=x"), "not an answer to ours"},
		{"our nonce and nothing more", asks("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", ""), "not an answer to ours"},
		{"no salt", asks("s=W22ZaJ0SNY7soEsUEjb6gQ==", "s="), "no salt"},
		{"salt that is none", asks("s=W", "s=!"), "illegal base64"},
		{"few rounds", asks("i=4096", "i=4095"), "asks for 4095 rounds"},
		{"endless rounds", asks("i=4096", "i=2000000000"), "asks for 2000000000 rounds"},
		{"rounds that are none", asks("i=4096", "i=x"), "invalid syntax"},
		{"an extension", asks("r=", "m=x,r="), "extension"},
		{"nothing", []string{""}, "not an answer to ours"},
	} {
		if _, err := converse(t, "user", rfcNonce, tt.broker...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Whatever a broker says, it gets an answer or an error.
func FuzzScram(f *testing.F) {
	rounds := regexp.MustCompile(`i=\d+`)
	f.Add(rfcAsks, rfcOutcome)
	f.Add("e=x", "")
	f.Fuzz(func(t *testing.T, asks, outcome string) {
		asks = rounds.ReplaceAllString(asks, "i=4096") // a million of them are a second
		said, err := converse(t, "user", rfcNonce, asks, outcome)
		if err == nil && (len(said) != 2 || !strings.HasPrefix(outcome, "v=")) {
			t.Errorf("%q and %q let it in", asks, outcome)
		}
	})
}
