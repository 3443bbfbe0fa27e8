package fcfs

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"sync"
	"time"
)

// A machine's own time zone files may be of another year, and then two issuers would put one claim into two days. So the
// zones are part of the rules: see zoneinfo/README.md.
//
//go:embed zoneinfo/zoneinfo.zip
var zoneArchive []byte

var (
	zoneFiles = sync.OnceValues(openZones)
	zoneCache sync.Map // name → *time.Location; only names that the archive has, so it cannot grow without bound
)

// LoadZone gives the time zone of an IANA name such as "Asia/Seoul" from the embedded archive and from nowhere else.
// "" and "Local", which mean another thing on each machine, are errors like any unknown name.
func LoadZone(name string) (*time.Location, error) {
	if loc, ok := zoneCache.Load(name); ok {
		return loc.(*time.Location), nil
	}
	files, err := zoneFiles()
	if err != nil {
		return nil, err
	}
	f, ok := files[name]
	if !ok {
		return nil, fmt.Errorf("unknown time zone %q", name)
	}
	data, err := readZone(f)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", name, err)
	}
	loc, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", name, err)
	}
	kept, _ := zoneCache.LoadOrStore(name, loc)
	return kept.(*time.Location), nil
}

func openZones() (map[string]*zip.File, error) {
	r, err := zip.NewReader(bytes.NewReader(zoneArchive), int64(len(zoneArchive)))
	if err != nil {
		return nil, fmt.Errorf("embedded time zones: %w", err)
	}
	files := make(map[string]*zip.File, len(r.File))
	for _, f := range r.File {
		files[f.Name] = f
	}
	return files, nil
}

func readZone(f *zip.File) ([]byte, error) {
	rc, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(rc)
}
