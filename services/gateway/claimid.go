package gateway

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

// errClaimID is all that is ever said about an id that this gateway did not seal.
var errClaimID = errors.New("not a claim id")

// maxClaimID is longer than any id that can be sealed: longer ones are not even decoded.
const maxClaimID = 512

// sealer seals tickets with its first key and opens those of all its keys, so that keys rotate: put the new one in
// front, drop the old one once nobody asks about its claims any more.
//
// The nonce is derived from the key and the ticket, so that a claim has one id under one key: a client that is told its
// claim twice is told the same id. (A nonce repeats only together with its plaintext, and then the whole id does.)
type sealer struct {
	seals byte
	keys  map[byte]sealKey
}

type sealKey struct {
	secret []byte
	aead   cipher.AEAD
}

// newSealer reads CLAIM_ID_KEYS: a comma list of number=base64 of 32 bytes. The first key seals.
func newSealer(list string) (*sealer, error) {
	s := &sealer{keys: map[byte]sealKey{}}
	var errs []error
	for i, item := range strings.Split(list, ",") {
		number, key, err := parseSealKey(strings.TrimSpace(item))
		if err != nil {
			errs = append(errs, fmt.Errorf("key %d of the list: %w", i+1, err))
			continue
		}
		if _, taken := s.keys[number]; taken {
			errs = append(errs, fmt.Errorf("key %d of the list: number %d stands there twice", i+1, number))
			continue
		}
		if len(s.keys) == 0 {
			s.seals = number
		}
		s.keys[number] = key
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return s, nil
}

func parseSealKey(item string) (byte, sealKey, error) {
	name, secret, found := strings.Cut(item, "=")
	number, err := strconv.ParseUint(name, 10, 8)
	if !found || err != nil {
		return 0, sealKey{}, errors.New("must be number=base64, with a number from 0 to 255")
	}
	raw, err := base64.StdEncoding.DecodeString(secret)
	if err != nil || len(raw) != chacha20poly1305.KeySize {
		return 0, sealKey{}, fmt.Errorf("must be base64 of %d bytes", chacha20poly1305.KeySize)
	}
	aead, err := chacha20poly1305.NewX(raw)
	if err != nil {
		return 0, sealKey{}, err
	}
	return byte(number), sealKey{raw, aead}, nil
}

// Seal gives the claim id of a ticket.
func (s *sealer) Seal(t verdict.Ticket) string {
	plain := encodeTicket(t)
	key := s.keys[s.seals]
	id := make([]byte, 1, 1+chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	id[0] = s.seals
	id = append(id, key.nonce(plain)...)
	id = key.aead.Seal(id, id[1:], plain, id[:1])
	return base64.RawURLEncoding.EncodeToString(id)
}

// Open is the inverse of Seal under any of the keys. Every error is errClaimID.
func (s *sealer) Open(id string) (verdict.Ticket, error) {
	if len(id) > maxClaimID {
		return verdict.Ticket{}, errClaimID
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || strings.ContainsAny(id, "\r\n") || len(raw) < 1+chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead {
		return verdict.Ticket{}, errClaimID
	}
	key, ok := s.keys[raw[0]]
	if !ok {
		return verdict.Ticket{}, errClaimID
	}
	nonce, box := raw[1:1+chacha20poly1305.NonceSizeX], raw[1+chacha20poly1305.NonceSizeX:]
	plain, err := key.aead.Open(nil, nonce, box, raw[:1])
	if err != nil {
		return verdict.Ticket{}, errClaimID
	}
	return decodeTicket(plain)
}

func (k sealKey) nonce(plain []byte) []byte {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write(plain)
	return mac.Sum(nil)[:chacha20poly1305.NonceSizeX]
}

func encodeTicket(t verdict.Ticket) []byte {
	b := make([]byte, 0, 32+len(t.CouponID)+len(t.UserID))
	b = binary.AppendUvarint(b, uint64(t.Partition))
	b = binary.AppendUvarint(b, uint64(t.Offset))
	b = binary.AppendUvarint(b, uint64(t.AppendTime))
	b = binary.AppendUvarint(b, uint64(len(t.CouponID)))
	b = append(b, t.CouponID...)
	return append(b, t.UserID...)
}

// decodeTicket reads what a key of ours has sealed, so a failure means that another program has the key.
func decodeTicket(b []byte) (verdict.Ticket, error) {
	whole := b
	var n [4]uint64
	for i := range n {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			return verdict.Ticket{}, errClaimID
		}
		n[i], b = v, b[size:]
	}
	if n[0] >= fcfs.MaxPartitions || n[1] >= 1<<48 || n[2] > uint64(fcfs.MaxTime) || n[3] > uint64(len(b)) {
		return verdict.Ticket{}, errClaimID
	}
	couponID, userID := b[:n[3]], b[n[3]:]
	t := verdict.Ticket{
		Partition: int32(n[0]), Offset: int64(n[1]), AppendTime: fcfs.Millis(n[2]),
		CouponID: string(couponID), UserID: string(userID),
	}
	if t.CouponID == "" || t.UserID == "" || !bytes.Equal(encodeTicket(t), whole) {
		return verdict.Ticket{}, errClaimID
	}
	return t, nil
}
