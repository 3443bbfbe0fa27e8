package coupontest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest/embedded"
)

func TestSweep(t *testing.T) {
	temp := t.TempDir()
	folder := func(name string, age time.Duration) string {
		dir := filepath.Join(temp, name)
		lock := filepath.Join(dir, "lock")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(lock, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(lock, then, then); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	left := folder(postgresFolder+"left", time.Hour)
	young := folder(postgresFolder+"young", 0)
	other := folder("somebody-else", time.Hour)
	used := folder(postgresFolder+"used", time.Hour)
	kafka, err := embedded.StartKafka(embedded.KafkaConfig{Dir: used}) // the same lock
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(used, "lock"), then, then); err != nil {
		t.Fatal(err)
	}
	sweep(temp)
	for dir, want := range map[string]bool{left: false, young: true, other: true, used: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: there %v, want %v", filepath.Base(dir), err == nil, want)
		}
	}
}
