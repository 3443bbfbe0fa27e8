package broker

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go/sasl"
)

// scram is the client's side of SCRAM (RFC 5802 and RFC 7677), without channel
// binding, as Kafka speaks it: names and passwords are their bytes, without
// SASLprep. It is our own since kafka-go's brings eight modules with it, into
// every program that imports this one.
type scram struct {
	name               string
	hash               func() hash.Hash
	username, password string
	nonce              func() string
}

// What a broker may ask for: Kafka takes from 4,096 to 16,384 rounds. A broker
// that asks for less wants to learn the password, one that asks for many more
// wants to keep us busy.
const minRounds, maxRounds = 4096, 1 << 20

func newScram(mechanism, username, password string) scram {
	s := scram{name: mechanism, hash: sha256.New, username: username, password: password, nonce: rand.Text}
	if mechanism == ScramSHA512 {
		s.hash = sha512.New
	}
	return s
}

func (s scram) Name() string { return s.name }

func (s scram) Start(context.Context) (sasl.StateMachine, []byte, error) {
	nonce := s.nonce()
	first := "n=" + strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s.username) + ",r=" + nonce
	return &conversation{scram: s, nonce: nonce, first: first}, []byte("n,," + first), nil
}

// conversation is one authentication.
type conversation struct {
	scram
	nonce     string
	first     string // our first message, without its header
	signature []byte // what the broker has to know; nil before it is its turn
}

func (c *conversation) Next(_ context.Context, challenge []byte) (done bool, answer []byte, err error) {
	if c.signature != nil {
		return true, nil, c.verify(string(challenge))
	}
	answer, err = c.prove(string(challenge))
	return false, answer, err
}

// prove answers the broker's nonce, salt and rounds with the proof that we
// know the password.
func (c *conversation) prove(challenge string) ([]byte, error) {
	var nonce string
	var salt []byte
	var rounds int
	var err error
	for field := range strings.SplitSeq(challenge, ",") {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "m":
			return nil, errors.New("the broker asks for an extension of SCRAM that is not known")
		case "e":
			return nil, fmt.Errorf("the broker says %q", value)
		case "r":
			nonce = value
		case "s":
			salt, err = base64.StdEncoding.DecodeString(value)
		case "i":
			rounds, err = strconv.Atoi(value)
		}
		if err != nil {
			return nil, fmt.Errorf("the broker's challenge: %w", err)
		}
	}
	switch {
	case !strings.HasPrefix(nonce, c.nonce) || len(nonce) == len(c.nonce):
		return nil, errors.New("the broker's challenge is not an answer to ours")
	case len(salt) == 0:
		return nil, errors.New("the broker's challenge has no salt")
	case rounds < minRounds || rounds > maxRounds:
		return nil, fmt.Errorf("the broker asks for %d rounds, and from %d to %d are done", rounds, minRounds, maxRounds)
	}
	salted, err := pbkdf2.Key(c.hash, c.password, salt, rounds, c.hash().Size())
	if err != nil {
		return nil, err
	}
	last := "c=biws,r=" + nonce // biws: "n,,", our header
	signed := c.first + "," + challenge + "," + last
	clientKey := c.mac(salted, "Client Key")
	stored := c.hash()
	stored.Write(clientKey)
	proof := c.mac(stored.Sum(nil), signed)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	c.signature = c.mac(c.mac(salted, "Server Key"), signed)
	return []byte(last + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

// verify holds the broker to knowing the password too.
func (c *conversation) verify(answer string) error {
	if why, refused := strings.CutPrefix(answer, "e="); refused {
		return fmt.Errorf("the broker says %q", why)
	}
	text, _, _ := strings.Cut(answer, ",")
	text, named := strings.CutPrefix(text, "v=")
	signature, err := base64.StdEncoding.DecodeString(text)
	if !named || err != nil || !hmac.Equal(signature, c.signature) {
		return errors.New("the broker does not know the password itself")
	}
	return nil
}

func (c *conversation) mac(key []byte, text string) []byte {
	m := hmac.New(c.hash, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
