package postgres

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// The session of an archive goes by its own name and may take its time, whatever the database grants others; what the URL says
// counts.
func TestArchiving_Settings(t *testing.T) {
	s := newStore(t)
	if _, err := s.write.Exec(t.Context(), `ALTER DATABASE `+databaseOf(t, s)+` SET statement_timeout = '1s'`); err != nil {
		t.Fatal(err)
	}
	settings := func(s *Store) (all []string) {
		a, err := s.Archiving(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		for _, name := range []string{"application_name", "statement_timeout", "idle_in_transaction_session_timeout"} {
			var value string
			if err := a.lock.QueryRow(t.Context(), `SELECT current_setting($1)`, name).Scan(&value); err != nil {
				t.Fatal(err)
			}
			all = append(all, value)
		}
		return all
	}
	if got := settings(s); !slices.Equal(got, []string{"firstcome-archive", "0", "10min"}) {
		t.Errorf("it has %v", got)
	}
	url := s.migrator.ConnString()
	sign := "?"
	if strings.Contains(url, "?") {
		sign = "&"
	}
	if got := settings(open(t, url+sign+"statement_timeout=60000")); !slices.Equal(got, []string{"firstcome-archive", "1min", "10min"}) {
		t.Errorf("with a URL that says more: %v", got)
	}
}

// Of a window that is dropped, Postgres keeps a number a row until the end: a window may have a hundred million.
func TestArchive_KeepsHashesAlone(t *testing.T) {
	s := newStore(t)
	var text []byte
	if err := s.write.QueryRow(t.Context(), "EXPLAIN (VERBOSE, FORMAT JSON) "+dropKept, "tea", "").Scan(&text); err != nil {
		t.Fatal(err)
	}
	var plans []struct {
		Plan struct {
			Plans []struct {
				Subplan string `json:"Subplan Name"`
				Output  []string
			}
		}
	}
	if err := json.Unmarshal(text, &plans); err != nil || len(plans) != 1 || len(plans[0].Plan.Plans) == 0 {
		t.Fatal(err, string(text))
	}
	if kept := plans[0].Plan.Plans[0]; kept.Subplan != "CTE gone" || len(kept.Output) != 1 || !strings.HasPrefix(kept.Output[0], "hashtextextended(") {
		t.Errorf("it keeps %+v", kept)
	}
}
