package ledger

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

func TestAPI_NDJSON(t *testing.T) {
	s, grants := sample(t)
	var want strings.Builder
	for _, i := range []int{0, 1, 3} {
		want.WriteString(line(grants[i]) + "\n")
	}
	for _, page := range []int{1, 2, 3, 4, downloadPage} {
		server := serve(t, &api{store: s, page: page})
		res, body := ask(t, "GET", server.URL+"/v1/coupons/tea/grants.ndjson", nil)
		if res.Header.Get("Content-Type") != "application/x-ndjson" || res.Header.Get("Content-Disposition") != `attachment; filename="tea.ndjson"` || string(body) != want.String() {
			t.Errorf("pages of %d: %v\n%s\nwant\n%s", page, res.Header, body, want.String())
		}
	}
}

func TestAPI_CSV(t *testing.T) {
	s, _ := sample(t)
	for _, page := range []int{1, 2, 3, 4, downloadPage} {
		server := serve(t, &api{store: s, page: page})
		res, body := ask(t, "GET", server.URL+"/v1/coupons/tea/grants.csv", nil)
		rows, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
		if err != nil || res.Header.Get("Content-Type") != "text/csv; charset=utf-8; header=present" || res.Header.Get("Content-Disposition") != `attachment; filename="tea.csv"` {
			t.Fatal(err, res.Header)
		}
		var people []string
		for _, row := range rows[1:] {
			people = append(people, row[2])
		}
		if want := []string{"'=ada", "<Zoë>, \"x\"", "'@eve"}; !slices.Equal(rows[0], csvColumns) || !reflect.DeepEqual(people, want) {
			t.Errorf("pages of %d: %v", page, rows)
		}
	}
}

// brokenStore fails from the call with that number on.
type brokenStore struct {
	store
	after int
	err   error
}

func (b *brokenStore) Grants(ctx context.Context, f postgres.Filter) ([]event.CouponGranted, error) {
	if b.after--; b.after < 0 {
		return nil, b.err
	}
	return b.store.Grants(ctx, f)
}

// A file that ends too early does not look whole: neither where the database fails, nor where what was to come was archived.
func TestAPI_DownloadBreaks(t *testing.T) {
	s, _ := sample(t)
	for name, store := range map[string]func() store{
		"the database is gone":  func() store { return &brokenStore{store: s, after: 2, err: errors.New("gone")} },
		"a window was archived": func() store { return &archivingStore{store: s} },
	} {
		for _, suffix := range []string{"csv", "ndjson"} {
			t.Run(name+", "+suffix, func(t *testing.T) {
				var l logs
				server := serve(t, &api{store: store(), page: 1, log: l.logger()})
				r, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/v1/coupons/tea/grants."+suffix, nil)
				r.Header.Set("Authorization", "Bearer "+secret)
				if res, err := http.DefaultClient.Do(r); err == nil { // else the connection broke before its first bytes were sent
					defer res.Body.Close()
					if body, err := io.ReadAll(res.Body); err == nil {
						t.Errorf("ended as if whole: %s", body)
					}
				}
				server.Close() // the line is written when the answer has ended
				if got := l.alarms(); !slices.Equal(got, []string{"request"}) {
					t.Errorf("logged %v", got)
				}
			})
		}
	}
}

// archivingStore is one whose coupons are archived between the first look and the second.
type archivingStore struct {
	store
	looks int
}

func (s *archivingStore) Coupon(ctx context.Context, id string) (postgres.Coupon, error) {
	c, err := s.store.Coupon(ctx, id)
	if s.looks++; s.looks > 1 {
		for i := range c.Windows {
			c.Windows[i].File = "tea.ndjson.gz"
		}
	}
	return c, err
}

// What was archived is not told to be nothing.
func TestAPI_Archived(t *testing.T) {
	s, grants := sample(t)
	rows, err := s.Archiving(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for _, w := range []postgres.Archived{
		{CouponID: "tea", Window: postgres.Window{Granted: 3, File: "tea.ndjson.gz"}},
		{CouponID: "day", Window: postgres.Window{Window: "2026-11-22", Granted: 1, File: "day.1.ndjson.gz"}},
	} {
		print, err := rows.Export(t.Context(), w.CouponID, w.Window.Window, func(event.CouponGranted) error { return nil })
		if err == nil {
			err = rows.Drop(t.Context(), w, print)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	server := serve(t, &api{store: s, page: 1})
	later := `{"grants":[` + line(grants[4]) + `,` + line(grants[5]) + `],"next":null}`
	for _, c := range []struct {
		path   string
		status int
		want   string
	}{
		{"/v1/coupons/tea/summary", 200, `{"coupon_id":"tea","windows":[{"window":"","limit":4,"granted":3,"first_requested_at":"2026-11-22T12:00:00.011Z","last_requested_at":"2026-11-22T12:00:00.015Z",` +
			`"archived":true,"file":"tea.ndjson.gz"}]}`},
		{"/v1/coupons/tea/summary?window=&histogram=second", 200, `{"coupon_id":"tea","windows":[{"window":"","limit":4,"granted":3,"first_requested_at":"2026-11-22T12:00:00.011Z","last_requested_at":"2026-11-22T12:00:00.015Z",` +
			`"archived":true,"file":"tea.ndjson.gz"}]}`},
		{"/v1/grants?coupon_id=tea", 410, "retired into the file tea.ndjson.gz"},
		{"/v1/grants?coupon_id=tea&user_id=nobody", 410, "retired"},
		{"/v1/grants?coupon_id=day&window=2026-11-22", 410, "retired day.1.ndjson.gz"},
		{"/v1/grants?coupon_id=day", 200, later},
		{"/v1/grants?coupon_id=day&user_id=nobody", 410, "retired"},
		{"/v1/grants?coupon_id=day&user_id=nobody&window=2026-11-23", 200, `{"grants":[],"next":null}`},
		{"/v1/grants?coupon_id=day&after=" + cursor(postgres.Position{CouponID: "day", Window: "2026-11-22", Sequence: 1}), 200, later},
		{"/v1/grants?coupon_id=day&after=" + cursor(postgres.Position{CouponID: "day", Window: "2026-11-23", Sequence: 2}), 200, `{"grants":[],"next":null}`},
		{"/v1/grants?user_id=ada", 200, `{"grants":[` + line(grants[4]) + `],"next":null}`},
		{"/v1/coupons/tea/grants.csv", 410, "retired"},
		{"/v1/coupons/day/grants.ndjson", 200, line(grants[4]) + "\n" + line(grants[5])},
		{"/v1/coupons/day/grants.ndjson?window=2026-11-22", 410, "retired"},
	} {
		res, body := ask(t, "GET", server.URL+c.path, nil)
		switch {
		case res.StatusCode != c.status:
			t.Errorf("%s: %d %s", c.path, res.StatusCode, body)
		case c.status == 200 && strings.TrimSuffix(string(body), "\n") != c.want:
			t.Errorf("%s: got\n%s\nwant\n%s", c.path, body, c.want)
		case c.status == 410:
			checkProblem(t, res, body, c.want)
		}
	}
}
