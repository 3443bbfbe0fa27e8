package fcfs

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"
)

// The zones are part of the rules: another file may put a claim into another day.
func TestZoneArchive(t *testing.T) {
	const want = "8f55634d05f8bca1f7bc7c69c5933428c69357e0bdf565e5ba224e3f88ff12e8" // of Go 1.26.8, IANA 2025c
	sum := sha256.Sum256(zoneArchive)
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("zoneinfo.zip has SHA-256 %s, want %s: read zoneinfo/README.md", got, want)
	}
	readme, err := os.ReadFile("zoneinfo/README.md")
	if err != nil || !strings.Contains(string(readme), "Go 1.26.8") || !strings.Contains(string(readme), "2025c") {
		t.Errorf("zoneinfo/README.md does not say where this file comes from: %v", err)
	}
}

func TestLoadZone(t *testing.T) {
	files, err := zoneFiles()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 500 {
		t.Errorf("only %d zones", len(files))
	}
	for name := range files {
		first, err := LoadZone(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if again, _ := LoadZone(name); again != first {
			t.Errorf("%s is loaded anew each time", name)
		}
	}
	for _, name := range []string{"", "Local", "utc", "asia/seoul", "Asia", "Asia/", "../Asia/Seoul", "/etc/localtime", "+09:00", "KST", "Asia/Seoul\x00"} {
		if loc, err := LoadZone(name); err == nil {
			t.Errorf("%q is taken as %v", name, loc)
		}
	}
}

// Neither the machine's files nor ZONEINFO nor TZ may have a say.
func TestLoadZone_nothingElse(t *testing.T) {
	t.Setenv("ZONEINFO", t.TempDir())
	t.Setenv("TZ", "America/New_York")
	loc, err := LoadZone("Asia/Seoul")
	if err != nil {
		t.Fatal(err)
	}
	if _, offset := time.Unix(0, 0).In(loc).Zone(); offset != 9*60*60 {
		t.Errorf("Asia/Seoul in 1970 is %d s from UTC", offset)
	}
}
