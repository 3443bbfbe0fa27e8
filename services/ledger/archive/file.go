package archive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

// Manifest describes a file of grants, and lies beside it under the same name with manifest.json in place of ndjson.gz.
type Manifest struct {
	Version     int               `json:"version"` // 1
	CouponID    string            `json:"coupon_id"`
	Window      string            `json:"window"`
	Definitions []json.RawMessage `json:"definitions"` // of the coupon, all that took effect: values of the journal's records
	File        string            `json:"file"`        // gzip; unpacked, a line for each grant: the value of its journal record
	Grants      int64             `json:"grants"`      // lines
	First       json.RawMessage   `json:"first"`       // line
	Last        json.RawMessage   `json:"last"`
	SHA256      string            `json:"sha256"` // of the unpacked lines, in hex

	checksum    [sha256.Size]byte
	first, last time.Time // requested_at of the rows, the least and the greatest
	part        string    // path of what is not finished yet
}

const (
	grantsSuffix   = ".ndjson.gz"
	manifestSuffix = ".manifest.json"
	partSuffix     = ".firstcome-part" // of this program's alone: what ends in it is removed
)

// lineOf is a grant as archives have it: the value of its journal record, and a line feed.
func lineOf(g event.CouponGranted) ([]byte, error) {
	m, err := g.Message(event.Meta{Source: event.JournalSource(topic, g.Source.Partition)})
	if err != nil {
		return nil, fmt.Errorf("the row of source %d/%d is no grant: %w", g.Source.Partition, g.Source.Offset, err)
	}
	return append(m.Value, '\n'), nil
}

// lines gathers what a manifest says of lines.
type lines struct {
	count       int64
	first, last []byte
	sum         hash.Hash
}

func newLines() *lines { return &lines{sum: sha256.New()} }

func (l *lines) add(line []byte) {
	if l.count == 0 {
		l.first = bytes.Clone(line)
	}
	l.last = append(l.last[:0], line...)
	l.count++
	l.sum.Write(line)
}

func (l *lines) describe(m *Manifest) {
	m.Grants, m.First, m.Last = l.count, bytes.TrimSuffix(l.first, []byte("\n")), bytes.TrimSuffix(l.last, []byte("\n"))
	copy(m.checksum[:], l.sum.Sum(nil))
	m.SHA256 = hex.EncodeToString(m.checksum[:])
}

// export writes a window's grants into a part, which counts for nothing until it was read back.
func (a *Archive) export(ctx context.Context, w Window, definitions []event.CouponDefined, progress func(int64)) (m Manifest, print postgres.Fingerprint, err error) {
	m = Manifest{Version: 1, CouponID: w.CouponID, Window: w.Window}
	for _, d := range definitions {
		value, err := valueOf(d)
		if err != nil {
			return m, print, err
		}
		m.Definitions = append(m.Definitions, value)
	}
	part, err := os.CreateTemp(a.dir, name(w, "")+".*"+partSuffix) // for its owner alone, and nobody else's part
	if err != nil {
		return m, print, err
	}
	m.part = part.Name()
	packed := gzip.NewWriter(part)
	l := newLines()
	print, err = a.rows.Export(ctx, w.CouponID, w.Window, func(g event.CouponGranted) error {
		line, err := lineOf(g)
		if err == nil {
			_, err = packed.Write(line)
		}
		l.add(line)
		m.span(g.RequestedAt)
		if progress != nil {
			progress(l.count)
		}
		return err
	})
	if err = errors.Join(err, packed.Close(), part.Sync(), part.Close()); err != nil {
		return m, print, err
	}
	l.describe(&m)
	m.File = name(w, m.SHA256) + grantsSuffix
	if m.Grants != w.Granted || m.Grants != print.Rows {
		return m, print, fmt.Errorf("coupon %s%s has %d grants, and coupon_windows says %d: `firstcome audit` tells which are missing", w.CouponID, inWindow(w.Window), m.Grants, w.Granted)
	}
	if err := a.step("exported"); err != nil {
		return m, print, err
	}
	return m, print, readBack(m, m.part)
}

// span takes a row's time. The rows are what counts, and not what coupon_windows says of them.
func (m *Manifest) span(requested time.Time) {
	if m.first.IsZero() || requested.Before(m.first) {
		m.first = requested
	}
	if requested.After(m.last) {
		m.last = requested
	}
}

// valueOf is the value of a definition's journal record.
func valueOf(d event.CouponDefined) ([]byte, error) {
	m, err := d.Message(event.Meta{ID: fcfs.GrantID(topic, fcfs.Source(*d.Source)), Source: event.JournalSource(topic, d.Source.Partition)})
	if err != nil {
		return nil, fmt.Errorf("the row of source %d/%d is no definition: %w", d.Source.Partition, d.Source.Offset, err)
	}
	return m.Value, nil
}

// topic stands for that of the requests, which no value names.
const topic = "archive"

// name is that of a window's files, without what tells them apart. The checksum keeps windows apart, and one window's later
// archives from earlier ones, also where a file system takes tea and Tea for the same.
func name(w Window, checksum string) string {
	name := w.CouponID
	for _, more := range []string{w.Window, checksum[:min(16, len(checksum))]} {
		if more != "" {
			name += "." + more
		}
	}
	return name
}

// makeDir makes a folder that is missing, and its name and those above it as durable as what it will hold.
func makeDir(dir string) error {
	parents := missing(dir)
	err := os.MkdirAll(dir, 0o700)
	for _, parent := range parents {
		if err == nil {
			err = syncDir(parent)
		}
	}
	return err
}

// missing gives the folder above each level of a path that is not there.
func missing(dir string) (parents []string) {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return parents
		}
		parents = append(parents, filepath.Dir(at))
	}
}

// clear removes the parts that an interrupted run has left.
func clear(dir string) error {
	files, err := os.ReadDir(dir)
	for _, f := range files {
		if strings.HasSuffix(f.Name(), partSuffix) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, f.Name())))
		}
	}
	return err
}

// readBack holds a file of grants against what was written: each line is one of the window's grants, in their order, and all
// of them together have the checksum.
func readBack(m Manifest, path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("reading %s back: %w", path, err)
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	packed, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	l := newLines()
	var got Manifest
	for r := bufio.NewReader(packed); ; {
		line, err := r.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		if err != nil {
			return err
		}
		var g struct {
			CouponID string `json:"coupon_id"`
			Window   string `json:"window"`
			Sequence int64  `json:"sequence"`
		}
		if err := json.Unmarshal(line, &g); err != nil {
			return err
		}
		if l.add(line); g.CouponID != m.CouponID || g.Window != m.Window || g.Sequence != l.count {
			return fmt.Errorf("line %d is %s", l.count, line)
		}
	}
	if l.describe(&got); got.Grants != m.Grants || got.checksum != m.checksum {
		return fmt.Errorf("it has %d lines and checksum %s, and was written with %d and %s", got.Grants, got.SHA256, m.Grants, m.SHA256)
	}
	return nil
}

// keep gives a part that was read back its name, and writes the manifest. Where an earlier run got as far, its file is read
// back and kept instead: again.
func (a *Archive) keep(m Manifest) (again bool, err error) {
	path := filepath.Join(a.dir, m.File)
	if readBack(m, path) == nil {
		again, err = true, os.Remove(m.part)
	} else {
		err = os.Rename(m.part, path)
	}
	if err == nil {
		err = a.step("renamed")
	}
	if err == nil {
		err = writeManifest(m, strings.TrimSuffix(path, grantsSuffix)+manifestSuffix)
	}
	return again, errors.Join(err, syncDir(a.dir))
}

func writeManifest(m Manifest, path string) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(m); err != nil {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+partSuffix)
	if err != nil {
		return err
	}
	_, err = part.Write(text.Bytes())
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}

// syncDir makes the names in a folder as durable as the files are.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
