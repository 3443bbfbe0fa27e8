package redisstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

// replies is a Redis that replies the same to whatever it is asked.
type replies struct{ value any }

func (r replies) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r replies) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (r replies) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		if err, failed := r.value.(error); failed {
			cmd.SetErr(err)
			return err
		}
		cmd.(*redis.Cmd).SetVal(r.value)
		return nil
	}
}

// replying is a store whose Redis replies what the JSON says. A number is an integer, an object an error, null a nil.
func replying(t testing.TB, text string) *Store {
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		t.Fatalf("%s is no JSON", text)
	}
	client := redis.NewClient(&redis.Options{})
	t.Cleanup(func() { _ = client.Close() })
	client.AddHook(replies{asRedis(value)})
	return &Store{client: client, prefix: "fc"}
}

func asRedis(value any) any {
	switch v := value.(type) {
	case float64:
		return int64(v)
	case map[string]any:
		return fmt.Errorf("ERR %v", v)
	case []any:
		for i := range v {
			v[i] = asRedis(v[i])
		}
	}
	return value
}

const (
	defined = `{\"limit\":3,\"window\":\"none\",\"time_zone\":\"UTC\",\"rules\":1}`
	inForce = `1/0/` + defined
)

func knock(s *Store) (Door, error) { return knockWith(s, Idempotency{}) }

func knockWith(s *Store, i Idempotency) (Door, error) {
	return s.Admit(context.Background(), Knock{
		CouponID: "c", UserID: "u", Heard: 5, Token: "?1", Guard: time.Second, Idempotency: i,
		Rules: func(d *fcfs.Definition) verdict.Ruling { return verdict.Ruling{} },
	})
}

const hash = "00112233445566778899aabbccddeeff"

var withKey = Idempotency{Key: hash, Request: hash}

func ask(s *Store) (verdict.Reading, error) {
	return s.Read(context.Background(), Question{CouponID: "c", UserID: "u", Window: func([]fcfs.Defined) string { return "" }})
}

func settled(s *Store) (bool, error) {
	return s.Settle(context.Background(), Knock{CouponID: "c", UserID: "u", Token: "?1"}, "", redislayout.Ticket{}, time.Second, time.Second)
}

// What is no answer of the script neither refuses a person nor lets one through, and nobody is told that there is no such
// coupon or no such grant.
func TestStore_RefusesReplies(t *testing.T) {
	for _, c := range []struct{ call, name, text string }{
		{"any", "nothing", `null`}, {"any", "an integer", `1`}, {"any", "text", `"OK"`}, {"any", "an error", `{}`}, {"any", "no answer", `[]`},
		{"any", "an answer too many", `[["admitted", "5:6:7"], []]`}, {"any", "nil for an answer", `[null]`}, {"any", "text for an answer", `["admitted"]`},
		{"any", "an error for an answer", `[{}]`}, {"any", "an empty answer", `[[]]`}, {"any", "damaged", `[["damaged", "WRONGTYPE"]]`}, {"any", "nil within", `[[null, null, null, null, null]]`},
		{"admit", "no progress", `[["admitted"]]`}, {"admit", "progress is nil", `[["admitted", null]]`}, {"admit", "progress is an integer", `[["sold_out", 5]]`},
		{"admit", "progress of a newer version", `[["sold_out", "5:6:7:8"]]`}, {"admit", "progress is old", `[["sold_out", "4:6:7"]]`}, {"admit", "progress is missing", `[["unknown_coupon", ""]]`},
		{"admit", "granted", `[["granted", "5:6:7", "1:2"]]`}, {"admit", "created", `[["created", "5:6:7"]]`}, {"admit", "another word", `[["welcome", "5:6:7"]]`}, {"admit", "no word", `[["", "5:6:7"]]`},
		{"admit", "issued, without an entry", `[["already_issued", "5:6:7"]]`}, {"admit", "issued to nobody", `[["already_issued", "5:6:7", ""]]`}, {"admit", "issued to an integer", `[["already_issued", "5:6:7", 1]]`},
		{"admit", "held by nobody", `[["held", "", ""]]`}, {"admit", "held by nil", `[["held", "", null]]`}, {"admit", "held by none", `[["held", ""]]`},
		{"admit", "changed, without definitions", `[["changed", "5:6:7", "` + inForce + `"]]`}, {"admit", "changed to nil", `[["changed", "5:6:7", "` + inForce + `", null]]`},
		{"admit", "changed to none", `[["changed", "5:6:7", "` + inForce + `", []]]`}, {"admit", "a field without value", `[["changed", "5:6:7", "` + inForce + `", ["def:0"]]]`},
		{"admit", "changed, version is nil", `[["changed", "5:6:7", null, ["def:0", "` + defined + `"]]]`}, {"admit", "changed all the time", `[["changed", "5:6:7", "` + inForce + `", ["def:0", "` + defined + `"]]]`},
		{"admit", "remembered, without a key", `[["remembered", "5:6:7", "` + hash + `:0:5:6"]]`},
		{"key", "remembered nothing", `[["remembered", "5:6:7", ""]]`}, {"key", "remembered nil", `[["remembered", "5:6:7", null]]`}, {"key", "remembered none", `[["remembered", "5:6:7"]]`},
		{"key", "remembered without progress", `[["remembered", null, "` + hash + `:0:5:6"]]`}, {"key", "remembered a ticket alone", `[["remembered", "5:6:7", "0:5:6"]]`},
		{"key", "remembered another partition", `[["remembered", "5:6:7", "` + hash + `:1:5:6"]]`}, {"key", "remembered by nobody", `[["remembered", "5:6:7", "` + hash + `:?"]]`},
		{"read", "one element too few", `[["5:6:7", "", "0", "0"]]`}, {"read", "progress is nil", `[[null, "", "0", "0", ""]]`}, {"read", "progress of a newer version", `[["5:6:7:8", "", "0", "0", ""]]`},
		{"read", "total is an integer", `[["5:6:7", "", 0, "0", ""]]`}, {"read", "granted is nil", `[["5:6:7", "", "0", null, ""]]`}, {"read", "granted is below 0", `[["5:6:7", "", "0", "-1", ""]]`},
		{"read", "entry is nil", `[["5:6:7", "", "0", "0", null]]`}, {"read", "entry is an integer", `[["5:6:7", "", "0", "0", 1]]`}, {"read", "entry is cut short", `[["5:6:7", "", "0", "0", "1"]]`},
		{"read", "definitions unasked for", `[["5:6:7", "` + inForce + `", "0", "0", ""]]`}, {"read", "a definition is missing", `[["5:6:7", "2/4/x", "0", "0", "", ["def:4", "` + defined + `"]]]`},
		{"read", "the newest definition is missing", `[["5:6:7", "1/4/x", "0", "0", "", ["def:0", "` + defined + `"]]]`}, {"read", "no version", `[["5:6:7", "", "0", "0", "", ["def:0", "` + defined + `"]]]`},
		{"read", "of newer rules", `[["5:6:7", "1/0/x", "0", "0", "", ["def:0", "` + strings.Replace(defined, `:1}`, `:2}`, 1) + `"]]]`}, {"read", "definitions are nil", `[["5:6:7", "", "0", "0", "", null]]`},
		{"settle", "nil", `[[null]]`}, {"settle", "an integer", `[[1]]`}, {"settle", "another word", `[["2"]]`},
	} {
		t.Run(c.call+": "+c.name, func(t *testing.T) {
			if c.call == "any" || c.call == "admit" {
				if d, err := knock(replying(t, c.text)); err == nil {
					t.Errorf("taken for %+v", d)
				}
			}
			if c.call == "any" || c.call == "key" {
				if d, err := knockWith(replying(t, c.text), withKey); err == nil {
					t.Errorf("taken for %+v", d)
				}
			}
			if c.call == "any" || c.call == "read" {
				if r, err := ask(replying(t, c.text)); err == nil {
					t.Errorf("taken for %+v", r)
				}
			}
			if c.call == "any" || c.call == "settle" {
				if done, err := settled(replying(t, c.text)); err == nil {
					t.Errorf("taken for %v", done)
				}
			}
		})
	}
}

// Whatever Redis replies, nothing panics; and what refuses a person, or tells one of a coupon, stands in the reply.
func FuzzStore_Replies(f *testing.F) {
	for _, text := range []string{
		`[["held", "", "0:5:6"]]`, `[["admitted", ""]]`, `[["sold_out", "5:6:7"]]`, `[["already_issued", "5:6:7", "1:2"]]`, `[["1"]]`, `[[]]`, `[null]`, `{}`, `1`,
		`[["changed", "5:6:7", "` + inForce + `", ["def:0", "` + defined + `", "current", "0"]]]`,
		`[["remembered", "5:6:7", "` + hash + `:0:5:6"]]`, `[["remembered", "", "` + hash + `:?1"]]`,
		`[["5:6:7", "` + inForce + `", "3", "2", "1:4", ["def:0", "` + defined + `"]]]`, `[["5:6:7", "", "0", "0", ""]]`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			return
		}
		if d, err := knock(replying(t, text)); err == nil {
			if d.Refused != fcfs.None && (d.Progress.Offset < 5 || !said(text, d.Refused.String())) || d.Held != "" && !said(text, "held") || (d.Refused == fcfs.AlreadyIssued) != (d.Entry != nil) {
				t.Errorf("%s is taken for %+v", text, d)
			}
		}
		if d, err := knockWith(replying(t, text), withKey); err == nil && d.Remembered != nil {
			if !said(text, d.Remembered.String()) || d.Refused != fcfs.None || d.Held != "" {
				t.Errorf("%s is taken for %+v", text, d)
			}
		}
		if r, err := ask(replying(t, text)); err == nil {
			if r.Progress.Offset != Missing && !said(text, r.Progress.String()) || r.Entry == nil && !said(text, "") || r.Total < 0 || r.Granted < 0 {
				t.Errorf("%s is taken for %+v", text, r)
			}
		}
		if done, err := settled(replying(t, text)); err == nil && done && !said(text, "1") {
			t.Errorf("%s is taken for %v", text, done)
		}
	})
}

// said tells whether the first answer of a reply has such a text.
func said(text, word string) bool {
	var value []any
	if json.Unmarshal([]byte(text), &value) != nil || len(value) == 0 {
		return false
	}
	answer, _ := value[0].([]any)
	for _, v := range answer {
		if v == word {
			return true
		}
	}
	return false
}
