package event_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
)

// versions are the folders of golden records, one for each version of the records that was ever written to a log.
func versions(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join("testdata", "v[0-9]*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("%d versions: %v", len(dirs), err)
	}
	return dirs
}

// filesOf gives the golden records of a version, as paths below its folder.
func filesOf(t *testing.T, version string) []string {
	t.Helper()
	var files []string
	err := fs.WalkDir(os.DirFS(version), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path != "SHA256SUMS" {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", version, len(files), err)
	}
	return files
}

// TestReleasedAreUnchanged: golden records never change once there is a log that may hold them. Records that are written
// otherwise begin a folder of their own (testdata/v2, with `sha256sum */*` as its SHA256SUMS), and a line of the changelog.
func TestReleasedAreUnchanged(t *testing.T) {
	for _, version := range versions(t) {
		sums := readSums(t, filepath.Join(version, "SHA256SUMS"))
		for _, file := range filesOf(t, version) {
			content, err := os.ReadFile(filepath.Join(version, file))
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%x", sha256.Sum256(content)); got != sums[file] {
				t.Errorf("%s/%s changed: its SHA-256 is %s, and was %q", version, file, got, sums[file])
			}
			delete(sums, file)
		}
		for file := range sums {
			t.Errorf("%s/%s is gone", version, file)
		}
	}
}

func readSums(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok || len(sum) != 2*sha256.Size {
			t.Fatalf("%s: %q", file, lines.Text())
		}
		sums[name] = sum
	}
	return sums
}

// TestReleasedAreRead: the records of every version are understood by this one, and everything in them: written again they
// have each header and each member of then, with what it held.
func TestReleasedAreRead(t *testing.T) {
	for _, version := range versions(t) {
		for _, file := range filesOf(t, version) {
			t.Run(version+"/"+file, func(t *testing.T) {
				topic, then := filepath.Dir(file), readGolden(t, filepath.Join(version, file))
				now := again(t, consumed(topic, then))
				headers := headersOf(now)
				for name, value := range headersOf(then) {
					if headers[name] != value {
						t.Errorf("%s was %q and is %q", name, value, headers[name])
					}
				}
				was, is := members(t, then.Value), members(t, now.Value)
				for name, value := range was {
					if !reflect.DeepEqual(is[name], value) {
						t.Errorf("%s was %v and is %v", name, value, is[name])
					}
				}
				if len(was) == 0 || !bytes.Equal(now.Key, then.Key) {
					t.Errorf("key %q was %q; %d members", now.Key, then.Key, len(was))
				}
			})
		}
	}
}

// again reads a record and writes it once more.
func again(t *testing.T, r event.Record) event.Message {
	t.Helper()
	if r.Topic == event.TopicDeadLetters {
		l, err := event.ReadDeadLetter(r)
		if err != nil {
			t.Fatal(err)
		}
		return event.DeadLetter(l.Record, l.Reason, l.Detail)
	}
	e, err := event.Decode(r)
	if err != nil {
		t.Fatal(err)
	}
	return message(t, e)
}

func members(t *testing.T, value []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(value, &m); err != nil {
		t.Fatal(err)
	}
	return m
}
