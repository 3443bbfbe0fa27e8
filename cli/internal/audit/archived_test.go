package audit

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/services/ledger/archive"
)

// archived archives all that is retired: bun, and the first day of lunch.
func (w *world) archived() {
	w.t.Helper()
	a, err := archive.Open(w.t.Context(), w.servers.DatabaseURL, w.t.TempDir())
	if err != nil {
		w.t.Fatal(err)
	}
	defer a.Close()
	windows, err := a.Windows(w.t.Context())
	done := 0
	for _, window := range windows {
		if window.Age() >= archive.MinAge && err == nil {
			_, err = a.Do(w.t.Context(), window, nil)
			done++
		}
	}
	if err != nil || done != 2 {
		w.t.Fatalf("%d windows were archived, %v", done, err)
	}
}

// afterArchiving is a hand that is put in once all that is retired was archived.
func afterArchiving(statements ...string) func(*world) {
	return func(w *world) {
		w.archived()
		for _, s := range statements {
			w.sql(s)
		}
	}
}

var archiveFaults = []fault{
	{"what is retired was archived", afterArchiving(), "", nil},
	{"an archive of too many", afterArchiving(`UPDATE archived SET granted = 2 WHERE coupon_id = 'bun'`), Wrong,
		[]string{"postgres: archived says that 2 were granted of coupon bun, and the log leads to 1", "postgres: coupon_windows says that 1 were granted of coupon bun, and there are 2 rows"}},
	{"an archive of something else", afterArchiving(`UPDATE archived SET checksum = '\x00' WHERE coupon_id = 'lunch'`), Wrong,
		[]string{"postgres: the archived grants of coupon lunch, window 2026-11-22, in the file lunch.2026-11-22."}},
	{"an archive of what nobody was granted", afterArchiving(`INSERT INTO archived SELECT 'milk', '', 0, first_requested_at, last_requested_at, checksum, file FROM archived WHERE coupon_id = 'bun'`), Wrong,
		[]string{"postgres: the archived grants of coupon milk, in the file", "postgres: coupon_windows says that 0 were granted of coupon milk"}},
	{"what was archived is nowhere", afterArchiving(`DELETE FROM archived WHERE coupon_id = 'bun'`), Missing,
		[]string{`postgres: the grant of coupon bun, sequence 1, to "ada" (source 0/11) is missing: the log grants it (under-issue)`, "coupon_windows says that 1 were granted of coupon bun, and there are 0 rows"}},
	{"and is there as well", afterArchiving(`INSERT INTO grants SELECT * FROM kept_grants WHERE coupon_id = 'bun'`), Twice,
		[]string{`postgres: the grant of coupon bun, sequence 1, to "ada" (source 0/11) is there, though it was archived into the file bun.`, "coupon_windows says that 1 were granted of coupon bun, and there are 2 rows"}},
	{"sums without what was archived", afterArchiving(`DELETE FROM coupon_windows WHERE coupon_id = 'bun'`), Wrong,
		[]string{"coupon_windows says that 0 were granted of coupon bun, and there are 1 rows"}},
	{"an archive of other times", afterArchiving(`UPDATE archived SET first_requested_at = '2020-01-01Z' WHERE coupon_id = 'bun'`), Wrong,
		[]string{"coupon_windows has, for coupon bun, other times of the first and last grant than the rows"}},
	{"what was archived was not what the log leads to", func(w *world) {
		w.sql(`UPDATE grants SET user_id = 'eve' WHERE coupon_id = 'bun'`)
		w.archived()
	}, Wrong, []string{"postgres: the archived grants of coupon bun, in the file bun."}},
	{"a database of before anything could be archived", sql(`ALTER TABLE archived RENAME TO hidden`), "", nil},
}

// What is archived while the audit reads is no difference, and is compared.
func TestArchivedMeanwhile(t *testing.T) {
	w := newWorld(t)
	var once bool
	cfg := Config{Redis: w.redis, RedisPrefix: w.servers.RedisPrefix, Database: w.db, Timeout: w.timeout, Watch: func(int64, int64) {
		if !once {
			once = true
			w.archived()
		}
	}}
	r, err := run(context.WithoutCancel(t.Context()), cfg, w.client, w.requests, w.grants, w.dead)
	if err != nil || !r.OK || r.Compared.Archived != 2 || !strings.Contains(r.Line(), "2 archived grants") {
		t.Errorf("%v, %+v", err, r)
	}
}

// An archive that goes on beside the audit, window after window, is in nobody's way who looks at others.
func TestArchivedMeanwhile_Others(t *testing.T) {
	w := newWorld(t)
	others := 0
	cfg := Config{Redis: w.redis, RedisPrefix: w.servers.RedisPrefix, Database: w.db, Coupons: []string{"tea"}, Timeout: w.timeout, Watch: func(int64, int64) {
		w.sql(fmt.Sprintf(`INSERT INTO archived SELECT 'other', '%d', 1, now(), now(), '', 'file'`, others))
		others++
	}}
	r, err := run(t.Context(), cfg, w.client, w.requests, w.grants, w.dead)
	if err != nil || !r.OK || others == 0 {
		t.Errorf("%d others were archived: %v, %+v", others, err, r)
	}
}
