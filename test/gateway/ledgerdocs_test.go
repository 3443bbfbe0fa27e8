package gateway_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/firstcome/firstcome/services/ledger/archive"
)

// Every transcript of docs/ledger.md is what a ledger answers. -rewrite writes them.
func TestLedgerDocs(t *testing.T) {
	t.Parallel()
	p := readPage(t, "ledger.md")
	s := &scribe{world: newWorldWithLedger(t, 1), standIns: standIns{count: map[string]int{}}}
	s.host, s.address = "localhost:8082", s.ledger
	blocks := s.takeDown(p, 9)
	if *rewrite && !t.Failed() {
		write(t, p, blocks)
	}
}

func (s *scribe) grantTeaAndCup() {
	s.want(put("tea", `{"limit":2}`), 201, "")
	s.want(put("cup", `{"limit":5}`), 201, "")
	s.want(claim("tea", "ada", "30"), 200, "")
	s.want(claim("tea", "bob", "30"), 200, "")
	s.want(claim("cup", "ada", "30"), 200, "")
	s.eventually("the ledger has read of it", func() bool { return s.granted("tea") == 2 && s.granted("cup") == 1 })
}

// granted is how many the ledger has of a coupon that is given once.
func (s *scribe) granted(coupon string) int64 {
	s.t.Helper()
	r, err := http.NewRequest("GET", "http://"+s.ledger+"/v1/coupons/"+coupon+"/summary", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+reader)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var body struct{ Windows []struct{ Granted int64 } }
	if json.NewDecoder(res.Body).Decode(&body) != nil || len(body.Windows) == 0 {
		return 0
	}
	return body.Windows[0].Granted
}

// archiveCup is what `firstcome archive` does.
func (s *scribe) archiveCup() {
	s.t.Helper()
	s.want(put("cup", `{"limit":5,"closes_at":"`+time.Now().Add(-25*time.Hour).UTC().Format(time.RFC3339)+`"}`), 200, "")
	a, err := archive.Open(s.t.Context(), s.servers.DatabaseURL, s.t.TempDir())
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Close()
	s.eventually("the cup is archived", func() bool {
		windows, err := a.Windows(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, w := range windows {
			if w.CouponID == "cup" && w.Age() >= archive.MinAge {
				_, err := a.Do(s.t.Context(), w, nil)
				return err == nil
			}
		}
		return false
	})
}
