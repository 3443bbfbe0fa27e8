package fcfs

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

const (
	offsetBits = 48
	versionBit = 0x8000             // version 8 in bits 48..51 (RFC 9562 §5.8)
	variantBit = 0x8000000000000000 // variant 10 in bits 64..65
	hashMask   = 1<<62 - 1
)

// GrantID is the UUID of whatever the request at s led to: a UUIDv8 (RFC 9562) of custom_a = offset, custom_b =
// partition, custom_c = TopicHash of the requests topic's full name, prefix included. Within a partition the ids grow
// with the log, as text and as bytes. It panics on a source that no log of ours can have: an offset from 2^48, a
// partition from MaxPartitions.
func GrantID(requestsTopic string, s Source) string {
	if s.Offset < 0 || s.Offset >= 1<<offsetBits || s.Partition < 0 || s.Partition >= MaxPartitions {
		panic(fmt.Sprintf("fcfs: no grant id for partition %d, offset %d", s.Partition, s.Offset))
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], uint64(s.Offset)<<16|versionBit|uint64(s.Partition))
	binary.BigEndian.PutUint64(id[8:], variantBit|TopicHash(requestsTopic))
	var text [36]byte
	at := 0
	for i, group := range [...][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			text[at] = '-'
			at++
		}
		at += hex.Encode(text[at:], group)
	}
	return string(text[:])
}

// TopicHash is the first 62 bits of SHA-256 of a topic's full name: which log a grant id belongs to.
func TopicHash(topic string) uint64 {
	sum := sha256.Sum256([]byte(topic))
	return binary.BigEndian.Uint64(sum[:8]) >> 2
}

var errGrantID = errors.New("not a grant id")

// ParseGrantID turns a grant id back into its place. Like any UUID it may be written in capitals.
func ParseGrantID(id string) (s Source, topicHash uint64, err error) {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return Source{}, 0, errGrantID
	}
	var raw [16]byte
	if _, err := hex.Decode(raw[:], []byte(id[:8]+id[9:13]+id[14:18]+id[19:23]+id[24:])); err != nil {
		return Source{}, 0, errGrantID
	}
	high, low := binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])
	if high&0xF000 != versionBit || low&^uint64(hashMask) != variantBit {
		return Source{}, 0, errGrantID
	}
	return Source{Partition: int32(high & 0xFFF), Offset: int64(high >> 16)}, low & hashMask, nil
}
