package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go/compress"
)

const (
	// MaxUnpacked is what a compressed batch may unpack to.
	MaxUnpacked = 64 << 20
	// maxWindow is what a zstd decoder may be made to set aside: what
	// compressors at their highest level ask for.
	maxWindow = 128 << 20
)

// unpack undoes the compression. Whatever the bytes claim, it takes little more
// memory than MaxUnpacked (zstd: and a window).
func unpack(codec int16, packed []byte) (body []byte, err error) {
	if codec == int16(compress.None) {
		return packed, nil
	}
	c := compress.Compression(codec).Codec()
	if c == nil {
		return nil, fmt.Errorf("%w: unknown compression %d", ErrMalformed, codec)
	}
	switch compress.Compression(codec) {
	case compress.Snappy:
		err = checkSnappy(packed)
	case compress.Zstd:
		err = checkZstd(packed)
	}
	if err != nil {
		return nil, err
	}
	// The codecs are others' and the bytes are anybody's.
	defer func() {
		if p := recover(); p != nil {
			body, err = nil, fmt.Errorf("%w: %s: %v", ErrMalformed, c.Name(), p)
		}
	}()
	return readAll(c, packed)
}

func readAll(c compress.Codec, packed []byte) ([]byte, error) {
	r := c.NewReader(bytes.NewReader(packed))
	body := make([]byte, 0, min(MaxUnpacked, 4*len(packed)+512))
	for {
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > MaxUnpacked:
			r.Close()
			return nil, tooLarge(c.Name())
		case errors.Is(err, io.EOF):
			return body, r.Close()
		case err != nil:
			r.Close()
			return nil, fmt.Errorf("%w: %s: %v", ErrMalformed, c.Name(), err)
		case len(body) == cap(body):
			grown := make([]byte, len(body), min(2*cap(body), MaxUnpacked+1))
			copy(grown, body)
			body = grown
		}
	}
}

func tooLarge(codec string) error {
	return fmt.Errorf("%w: %s, more than %d bytes unpacked", ErrTooLarge, codec, MaxUnpacked)
}

var xerial = []byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

// checkSnappy adds up the lengths that the blocks claim: the decoder sets that
// much memory aside before it looks at the bytes. Blocks come one after
// another in Java's framing, or as a single one without framing.
func checkSnappy(packed []byte) error {
	if !bytes.HasPrefix(packed, xerial) || len(packed) < 16 {
		_, err := snappyLength(packed)
		return err
	}
	total := uint64(0)
	for rest := packed[16:]; len(rest) > 0; {
		if len(rest) < 4 {
			return fmt.Errorf("%w: snappy frame cut off", ErrMalformed)
		}
		n := uint64(binary.BigEndian.Uint32(rest))
		if rest = rest[4:]; n > uint64(len(rest)) {
			return fmt.Errorf("%w: snappy frame cut off", ErrMalformed)
		}
		length, err := snappyLength(rest[:n])
		if err != nil {
			return err
		}
		if total += length; total > MaxUnpacked {
			return tooLarge("snappy")
		}
		rest = rest[n:]
	}
	return nil
}

func snappyLength(block []byte) (uint64, error) {
	length, n := binary.Uvarint(block)
	if n <= 0 {
		return 0, fmt.Errorf("%w: snappy block without a length", ErrMalformed)
	}
	if length > MaxUnpacked {
		return 0, tooLarge("snappy")
	}
	return length, nil
}
