package downstream

import (
	"strings"
	"testing"
)

// What was not said, or said wrongly, is told at once, and nothing is begun.
func TestBadInput(t *testing.T) {
	kafka, secret := "KAFKA_BROKERS=127.0.0.1:9092", "WEBHOOK_SECRET="+secretNew
	email := []string{"-from", "shop@example.com", "-domain", "example.com"}
	for name, c := range map[string]struct {
		program, says string
		env           []string
		args          []string
	}{
		"no sender":            {"email", "-from: ", []string{kafka}, email[2:]},
		"no mailboxes":         {"email", "-domain: missing", []string{kafka}, email[:2]},
		"no broker for mails":  {"email", "KAFKA_BROKERS", nil, email},
		"no database":          {"exactlyonce", "connect", []string{kafka, "DATABASE_URL=postgres://nobody@127.0.0.1:1/none"}, nil},
		"not a database":       {"exactlyonce", "cannot parse", []string{kafka, "DATABASE_URL=postgres://%"}, nil},
		"no receiver":          {"webhook", "-to: must", []string{kafka, secret}, nil},
		"receiver without URL": {"webhook", "-to: must", []string{kafka, secret}, []string{"-to", "receiver.example"}},
		"no secret":            {"webhook", "WEBHOOK_SECRET: missing", []string{kafka}, []string{"-to", "https://receiver.example"}},
		"secret, no prefix":    {"webhook", "WEBHOOK_SECRET: must", []string{kafka, "WEBHOOK_SECRET=" + secretNew[6:]}, []string{"-to", "https://receiver.example"}},
		"secret, too short":    {"webhook", "WEBHOOK_SECRET: must", []string{kafka, "WEBHOOK_SECRET=whsec_c2VjcmV0"}, []string{"-to", "https://receiver.example"}},
		"secret, not base64":   {"webhook", "WEBHOOK_SECRET: must", []string{kafka, "WEBHOOK_SECRET=whsec_" + strings.Repeat("?", 32)}, []string{"-to", "https://receiver.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, c.program, c.env, c.args...)
			if code := p.ends(t); code != 1 || !strings.Contains(p.out.String(), c.says) {
				t.Errorf("exits with %d: %s", code, p.out.String())
			}
		})
	}
}
