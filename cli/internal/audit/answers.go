package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/pkg/event"
)

// Answers are what people were told: files, as `firstcome load --record` writes them, a line each person. Those are never in
// memory: they are read once to see which coupons they are about, and twice for each partition that has one of those.
type Answers struct {
	paths   []string
	known   []crowd.Record
	coupons map[string]bool
}

// KnownAnswers are in memory already.
func KnownAnswers(records []crowd.Record) *Answers {
	a := &Answers{known: records, coupons: make(map[string]bool)}
	for _, r := range records {
		a.coupons[r.CouponID] = true
	}
	return a
}

// OpenAnswers reads the files through: an error names the file and the line.
func OpenAnswers(paths []string) (*Answers, error) {
	a := &Answers{paths: paths, coupons: make(map[string]bool)}
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil {
			return nil, err
		} else if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s: not a file: it must be possible to read it several times", path)
		}
	}
	return a, a.each(func(r crowd.Record) error {
		a.coupons[r.CouponID] = true
		return nil
	})
}

func (a *Answers) each(take func(crowd.Record) error) error {
	for _, r := range a.known {
		if err := take(r); err != nil {
			return err
		}
	}
	for _, path := range a.paths {
		if err := readAnswers(path, take); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func readAnswers(path string, take func(crowd.Record) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 1
	for ; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var one crowd.Record
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := take(one); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n, err)
	}
	return nil
}

// of takes the answers about the coupons of a partition; nil: there are none. complete says that the log has every claim
// that was ever made.
func (a *Answers) of(l *look, complete bool) (*told, error) {
	if a == nil {
		return nil, nil
	}
	t := &told{look: l, complete: complete, coupons: map[string]bool{}, stories: map[person]story{}, soldOut: map[window]int64{}, numbers: map[string]uint32{}}
	for id := range a.coupons {
		if event.Partition(id, l.partitions) == l.partition && l.looksAt([]byte(id)) {
			t.coupons[id] = true
		}
	}
	if len(t.coupons) == 0 {
		return nil, nil
	}
	return t, t.each(func(r crowd.Record) error {
		t.stories[personOf(r.CouponID, r.UserID)] = story{offset: -1}
		return nil
	})
}

// each reads the answers about the partition's coupons.
func (t *told) each(take func(crowd.Record) error) error {
	return t.Answers.each(func(r crowd.Record) error {
		if !t.coupons[r.CouponID] {
			return nil
		}
		return take(r)
	})
}
