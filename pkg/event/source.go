package event

import (
	"bytes"
	"strconv"
)

const (
	maxPartitions = 4096    // 12 bits of a grant id
	maxOffset     = 1 << 48 // 48 bits of a grant id
	maxIDText     = 36
)

// JournalSource is the ce_source of the journal records that came from one partition of the requests topic, which is
// named with its prefix: "/coupon.requests/7".
func JournalSource(requestsTopic string, partition int32) string {
	return "/" + requestsTopic + "/" + strconv.Itoa(int(partition))
}

// SourceOf tells which request a journal record came from, by its ce_id and ce_source alone: without reading the value
// and without allocating, so that duplicates cost next to nothing. It is false for every other record.
func SourceOf(r Record) (Source, bool) {
	var id, from []byte
	for i := range r.Headers {
		switch h := &r.Headers[i]; h.Key {
		case headerID:
			id = h.Value
		case headerSource:
			from = h.Value
		}
	}
	s, ok := parseID(id)
	if !ok {
		return Source{}, false
	}
	slash := bytes.LastIndexByte(from, '/')
	partition, ok := parsePartition(from[slash+1:])
	return s, ok && slash > 0 && partition == s.Partition
}

func parsePartition(digits []byte) (int32, bool) {
	if len(digits) == 0 || len(digits) > 4 || len(digits) > 1 && digits[0] == '0' {
		return 0, false
	}
	n := int32(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int32(c-'0')
	}
	return n, n < maxPartitions
}

// parseID turns a UUIDv8 of the journal back into its place: 48 bits of offset, version, 12 bits of partition, variant,
// 62 bits of the topic's hash (RFC 9562 §5.8, in lower case only: the same place has one spelling).
func parseID[T string | []byte](id T) (Source, bool) {
	if len(id) != maxIDText {
		return Source{}, false
	}
	var bits [2]uint64
	digit := 0
	for i := 0; i < len(id); i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if id[i] != '-' {
				return Source{}, false
			}
			continue
		}
		v, ok := hexDigit(id[i])
		if !ok {
			return Source{}, false
		}
		bits[digit/16] = bits[digit/16]<<4 | uint64(v)
		digit++
	}
	if bits[0]>>12&0xf != 8 || bits[1]>>62 != 0b10 {
		return Source{}, false
	}
	return Source{Partition: int32(bits[0] & 0xfff), Offset: int64(bits[0] >> 16)}, true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
