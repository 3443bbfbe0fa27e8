package chaos

import (
	"encoding/base64"
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/firstcome/firstcome/internal/fcfs"
)

// ticket is what a claim id says (docs/design.md, "Words"): which record of the log it stands for.
type ticket struct {
	source     fcfs.Source
	appendTime fcfs.Millis
	couponID   string
	userID     string
}

// openTicket reads a claim id that the gateways of the test have sealed. It knows the form of design §5, and nothing of the
// gateway's code: number of the key, nonce, sealed varints and texts.
func openTicket(claimID, key string) (ticket, error) {
	secret, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return ticket{}, err
	}
	aead, err := chacha20poly1305.NewX(secret)
	if err != nil {
		return ticket{}, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(claimID)
	if err != nil {
		return ticket{}, err
	}
	const nonceEnd = 1 + chacha20poly1305.NonceSizeX
	if len(raw) < nonceEnd {
		return ticket{}, errors.New("a claim id that is too short")
	}
	plain, err := aead.Open(nil, raw[1:nonceEnd], raw[nonceEnd:], raw[:1])
	if err != nil {
		return ticket{}, err
	}
	return readTicket(plain)
}

func readTicket(plain []byte) (ticket, error) {
	var n [4]uint64 // partition, offset, append time, length of the coupon id
	for i := range n {
		value, size := binary.Uvarint(plain)
		if size <= 0 {
			return ticket{}, errors.New("a claim id that ends early")
		}
		n[i], plain = value, plain[size:]
	}
	if n[3] > uint64(len(plain)) {
		return ticket{}, errors.New("a claim id with half a coupon id")
	}
	return ticket{
		source: fcfs.Source{Partition: int32(n[0]), Offset: int64(n[1])}, appendTime: fcfs.Millis(n[2]),
		couponID: string(plain[:n[3]]), userID: string(plain[n[3]:]),
	}, nil
}
