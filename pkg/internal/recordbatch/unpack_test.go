package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"runtime"
	"testing"

	"github.com/segmentio/kafka-go/compress"

	"github.com/firstcome/firstcome/pkg/event"
)

var codecs = []compress.Compression{compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd}

// packed makes a batch of a plain one by compressing its records.
func packed(t testing.TB, plain []byte, codec compress.Compression) []byte {
	var body bytes.Buffer
	w := codec.Codec().NewWriter(&body)
	if _, err := w.Write(plain[headerSize:]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return withBody(plain, codec, body.Bytes())
}

func withBody(plain []byte, codec compress.Compression, body []byte) []byte {
	b := append(bytes.Clone(plain[:headerSize]), body...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-prefixSize))
	binary.BigEndian.PutUint16(b[21:], uint16(codec))
	return sealed(b)
}

func TestRead_compressed(t *testing.T) {
	plain := build(someMessages(), Producer{ID: 3}, 4)
	want, err := readAllOf(plain, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			have, err := readAllOf(packed(t, plain, codec), 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(have, want) {
				t.Errorf("have %+v\nwant %+v", have, want)
			}
		})
	}
	t.Run("snappy without framing", func(t *testing.T) {
		framed := packed(t, plain, compress.Snappy)
		body := framed[headerSize+16+4:] // one block behind the frame's header and length
		have, err := readAllOf(withBody(plain, compress.Snappy, body), 0, 100)
		if err != nil || !reflect.DeepEqual(have, want) {
			t.Errorf("%v\nhave %+v\nwant %+v", err, have, want)
		}
	})
	t.Run("no records left by compaction", func(t *testing.T) {
		b := withBody(plain, compress.Gzip, nil)
		binary.BigEndian.PutUint32(b[57:], 0)
		have, err := readAllOf(sealed(b), 0, 100)
		if err != nil || len(have) > 0 {
			t.Errorf("%v, %d records", err, len(have))
		}
	})
}

// large is a batch that unpacks to so many bytes of records.
func large(bytesUnpacked int) []byte {
	const each = 1 << 20
	var b Builder
	b.Reset(make([]byte, 0, bytesUnpacked+each))
	m := event.Message{Value: make([]byte, each), Time: someTime}
	for b.Size()+each+64 < headerSize+bytesUnpacked {
		b.Append(&m)
	}
	last := event.Message{Time: someTime}
	for n := bytesUnpacked - (b.Size() - headerSize); ; n-- {
		last.Value = make([]byte, n)
		if size := bodySize(&last, 0, b.count); varintSize(int64(size))+size+b.Size()-headerSize == bytesUnpacked {
			break
		}
	}
	b.Append(&last)
	return b.Seal(Producer{}, 0)
}

func TestRead_limitOfUnpacking(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			if _, err := readAllOf(packed(t, large(MaxUnpacked), codec), 0, 1000); err != nil {
				t.Errorf("exactly the limit: %v", err)
			}
			if _, err := readAllOf(packed(t, large(MaxUnpacked+1), codec), 0, 1000); !errors.Is(err, ErrTooLarge) {
				t.Errorf("one byte more: %v", err)
			}
			bomb := packed(t, large(80<<20), codec)
			if took := allocated(func() {
				if _, err := readAllOf(bomb, 0, 1000); !errors.Is(err, ErrTooLarge) {
					t.Errorf("80 MiB: %v", err)
				}
			}); took > 200<<20 {
				t.Errorf("80 MiB took %d MiB to refuse", took>>20)
			}
		})
	}
}

func TestRead_lengthsThatOnlyClaim(t *testing.T) {
	plain := build(someMessages(), Producer{}, 0)
	xerialOf := func(blocks ...[]byte) []byte {
		out := append(bytes.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1)
		for _, b := range blocks {
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(b))), b...)
		}
		return out
	}
	claim := func(n uint64) []byte { return append(binary.AppendUvarint(nil, n), 0, 'x') }
	tests := []struct {
		name  string
		codec compress.Compression
		body  []byte
		want  error
	}{
		{"snappy block of 4 GB", compress.Snappy, claim(1<<32 - 1), ErrTooLarge},
		{"snappy blocks of 40 MiB each", compress.Snappy, xerialOf(claim(40<<20), claim(40<<20)), ErrTooLarge},
		{"snappy frame of 2 GB", compress.Snappy, append(xerialOf(), 0x7f, 0xff, 0xff, 0xff, 1), ErrMalformed},
		{"snappy frame cut off", compress.Snappy, append(xerialOf(), 0, 0), ErrMalformed},
		{"snappy nothing", compress.Snappy, nil, ErrMalformed},
		{"zstd window of 2 TB", compress.Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 31 << 3, 1, 0, 0}, ErrTooLarge},
		{"zstd window of 512 MiB", compress.Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 19 << 3, 1, 0, 0}, ErrTooLarge},
		{"zstd content of 1 GB", compress.Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x40, 1, 0, 0}, ErrTooLarge},
		{"zstd second frame's window", compress.Zstd, []byte{
			0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0,
			0x28, 0xb5, 0x2f, 0xfd, 0x00, 31 << 3, 1, 0, 0,
		}, ErrTooLarge},
		{"zstd cut off", compress.Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0, 0, 0}, ErrMalformed},
		{"zstd not at all", compress.Zstd, []byte("12345678901234567890"), ErrMalformed},
		{"gzip not at all", compress.Gzip, []byte("12345678901234567890"), ErrMalformed},
		{"lz4 not at all", compress.Lz4, []byte("12345678901234567890"), ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			took := allocated(func() {
				if _, err := readAllOf(withBody(plain, tt.codec, tt.body), 0, 100); !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
			})
			if took > 8<<20 {
				t.Errorf("took %d MiB to refuse", took>>20)
			}
		})
	}
}

func TestRead_manyHeadersAreNotMuchMemory(t *testing.T) {
	headers := make([]event.Header, maxHeaders+1)
	if _, err := readAllOf(build([]event.Message{{Time: someTime, Headers: headers}}, Producer{}, 0), 0, 10); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d headers: %v", len(headers), err)
	}
	var b Builder
	b.Reset(nil)
	for range 1000 {
		b.Append(&event.Message{Time: someTime, Headers: headers[:maxHeaders]})
	}
	batch, _, err := Next(b.Seal(Producer{}, 0))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(batch)
	if err != nil {
		t.Fatal(err)
	}
	var d Decoder
	records, err := d.Read(nil, c, 0, 1000)
	if err != nil || len(records) == 0 || len(records) > 10 {
		t.Errorf("%v: %d records with %d headers each at once", err, len(records), maxHeaders)
	}
}

func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
