package redisstore

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/internal/telemetry"
)

// maxKnown bounds the memory of the definitions: some hundred bytes a coupon, as long as few are defined anew often.
const maxKnown = 10_000

// version names the definitions of a coupon as the scripts make it: how many there are, the offset of the one in force,
// and that one itself; "" where there is no coupon. What a log led to up to an offset never changes, so neither do the
// definitions under one version.
type version string

// definitionPrefix makes the name of a definition's field, with its offset behind.
var definitionPrefix = strings.TrimSuffix(redislayout.DefinitionField(0), "0")

// versioned are the definitions of a coupon, by offset.
type versioned struct {
	version version
	list    []fcfs.Defined
}

func (v versioned) current() *fcfs.Definition {
	if len(v.list) == 0 {
		return nil
	}
	return &v.list[len(v.list)-1].Definition
}

// definitions remembers what was read, so that a script sends them only when they changed.
type definitions struct {
	mu sync.RWMutex
	m  map[string]versioned
}

func (d *definitions) get(couponID string) versioned {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.m[couponID]
}

func (d *definitions) put(couponID string, v versioned) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(v.list) == 0 {
		delete(d.m, couponID)
		return
	}
	if d.m == nil {
		d.m = map[string]versioned{}
	}
	if _, known := d.m[couponID]; !known && len(d.m) >= maxKnown {
		for any := range d.m { // whichever: it is read again when it is asked for
			delete(d.m, any)
			break
		}
	}
	d.m[couponID] = v
}

// learn takes the definitions out of a coupon's hash, which stands in a reply beside their version.
func (d *definitions) learn(couponID string, r reply, version, hash int) (versioned, error) {
	if known := d.get(couponID); known.version != "" && len(r) > version && r[version] == string(known.version) {
		return known, nil // someone else has learnt them meanwhile
	}
	learnt, err := r.versioned(couponID, version, hash)
	if err != nil {
		return versioned{}, fmt.Errorf("coupon %s: %w", telemetry.Hash(couponID), err)
	}
	d.put(couponID, learnt)
	return learnt, nil
}

func (r reply) versioned(couponID string, at, hash int) (v versioned, err error) {
	name, err := r.text(at)
	if err != nil {
		return v, err
	}
	list, err := r.list(hash)
	if err != nil {
		return v, err
	}
	held, err := list.fields()
	if err != nil {
		return v, err
	}
	v.version = version(name)
	for field, value := range held {
		offset, isDefinition := redislayout.ParseDefinitionField(field)
		if !isDefinition {
			continue
		}
		definition, err := redislayout.DecodeDefinition(couponID, value)
		if err != nil {
			return v, fmt.Errorf("field %s: %w", field, err)
		}
		v.list = append(v.list, fcfs.Defined{Offset: offset, Definition: definition})
	}
	slices.SortFunc(v.list, func(a, b fcfs.Defined) int { return cmp.Compare(a.Offset, b.Offset) })
	return v, v.check()
}

// check refuses a hash that lacks definitions, or has others than its version tells: whoever asks about an old claim would
// get another outcome.
func (v versioned) check() error {
	want := ""
	if n := len(v.list); n > 0 {
		want = fmt.Sprintf("%d/%d/", n, v.list[n-1].Offset)
	}
	if !strings.HasPrefix(string(v.version), want) || want == "" && v.version != "" {
		return fmt.Errorf("the state is damaged: there are %d definitions, and their version is %.40q", len(v.list), v.version)
	}
	return nil
}
