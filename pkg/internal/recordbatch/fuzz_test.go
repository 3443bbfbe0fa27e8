package recordbatch

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/segmentio/kafka-go/compress"
)

// FuzzRead feeds anything at all, once as it is and once with the checksum put
// right, so that the fuzzer gets past it.
func FuzzRead(f *testing.F) {
	plain := build(someMessages(), Producer{ID: 9, Epoch: 1}, 12)
	f.Add(plain)
	f.Add(append(append([]byte(nil), plain...), plain...))
	f.Add(plain[:len(plain)-5])
	for _, codec := range []compress.Compression{compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd} {
		f.Add(packed(f, plain, codec))
	}
	for _, lie := range []struct {
		at    int
		value uint32
	}{
		{8, math.MaxInt32}, {8, 0}, {8, 1 << 31}, // the length
		{17, 0},                            // the checksum
		{23, math.MaxInt32}, {23, 1 << 31}, // the last offset
		{57, math.MaxInt32}, {57, 1<<32 - 1}, // the count
		{headerSize, math.MaxUint32},          // of the first record the length
		{headerSize + 2, math.MaxUint32 >> 1}, // and what it is made of
	} {
		data := append([]byte(nil), plain...)
		binary.BigEndian.PutUint32(data[lie.at:], lie.value)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkRead(t, data)
		if len(data) >= headerSize {
			checkRead(t, sealed(append([]byte(nil), data...)))
		}
	})
}

func checkRead(t *testing.T, data []byte) {
	whole, err := readAllOf(data, 0, 1<<20)
	pieces, piecesErr := readAllOf(data, 0, 2)
	if len(whole)+len(pieces) > 0 && !reflect.DeepEqual(whole, pieces) || (err == nil) != (piecesErr == nil) {
		t.Errorf("at once: %d records, %v; in pieces: %d records, %v", len(whole), err, len(pieces), piecesErr)
	}
	var cut *TruncatedError
	if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) && !errors.As(err, &cut) {
		t.Errorf("unexpected kind of error: %v", err)
	}
	for i := 1; i < len(whole); i++ {
		if whole[i].Offset == whole[i-1].Offset {
			t.Errorf("offset %d twice in a row", whole[i].Offset)
		}
	}
}
