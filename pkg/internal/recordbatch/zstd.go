package recordbatch

import (
	"encoding/binary"
	"fmt"
)

const (
	zstdMagic     = 0xFD2FB528
	zstdSkippable = 0x184D2A50 // and the 15 that follow
)

var errZstd = fmt.Errorf("%w: zstd frame cut off", ErrMalformed)

// checkZstd looks at the frames' headers (RFC 8878 §3.1): the decoder sets the
// window aside before it looks at the blocks, and a frame of 20 bytes may ask
// for half a gigabyte.
func checkZstd(packed []byte) error {
	content := uint64(0)
	for len(packed) > 0 {
		f, err := zstdHeader(packed)
		if err != nil {
			return err
		}
		if content += f.content; f.window > maxWindow || f.content > MaxUnpacked || content > MaxUnpacked {
			return tooLarge("zstd")
		}
		if packed, err = f.skip(packed[f.header:]); err != nil {
			return err
		}
	}
	return nil
}

type zstdFrame struct {
	skippable       bool
	checksum        bool
	header          int    // bytes of the header, or of a skippable frame
	window, content uint64 // content: 0 where unknown
}

func zstdHeader(b []byte) (f zstdFrame, err error) {
	if len(b) < 8 {
		return f, errZstd
	}
	magic := binary.LittleEndian.Uint32(b)
	if magic&^0xF == zstdSkippable {
		f.skippable = true
		size := 8 + uint64(binary.LittleEndian.Uint32(b[4:]))
		if size > uint64(len(b)) {
			return f, errZstd
		}
		f.header = int(size)
		return f, nil
	}
	if magic != zstdMagic {
		return f, fmt.Errorf("%w: not a zstd frame", ErrMalformed)
	}
	descriptor := b[4]
	single := descriptor&0x20 != 0
	f.checksum = descriptor&0x04 != 0
	at := 5
	if !single {
		base := uint64(1) << (10 + b[5]>>3)
		f.window = base + base/8*uint64(b[5]&7)
		at++
	}
	at += [4]int{0, 1, 2, 4}[descriptor&3] // dictionary id
	size := [4]int{0, 2, 4, 8}[descriptor>>6]
	if size == 0 && single {
		size = 1
	}
	if at+size > len(b) {
		return f, errZstd
	}
	var number [8]byte
	copy(number[:], b[at:at+size])
	f.content = binary.LittleEndian.Uint64(number[:])
	if size == 2 {
		f.content += 256
	}
	if single {
		f.window = f.content
	}
	f.header = at + size
	return f, nil
}

// skip steps over the blocks and the checksum.
func (f zstdFrame) skip(b []byte) ([]byte, error) {
	if f.skippable {
		return b, nil
	}
	for last := false; !last; {
		if len(b) < 3 {
			return nil, errZstd
		}
		header := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		last = header&1 != 0
		size := int(header >> 3)
		if header>>1&3 == 1 { // one byte, repeated
			size = 1
		}
		if b = b[3:]; size > len(b) {
			return nil, errZstd
		}
		b = b[size:]
	}
	if f.checksum {
		if len(b) < 4 {
			return nil, errZstd
		}
		b = b[4:]
	}
	return b, nil
}
