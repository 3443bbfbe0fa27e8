package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// replies is a Redis that gives these replies, whatever it is asked, and the last of them again and again.
type replies struct{ next []any }

func (r *replies) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *replies) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		r.answer(cmd)
		return cmd.Err()
	}
}

func (r *replies) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			r.answer(cmd)
		}
		return nil
	}
}

func (r *replies) answer(cmd redis.Cmder) {
	value := r.next[0]
	if len(r.next) > 1 {
		r.next = r.next[1:]
	}
	if err, failed := value.(error); failed {
		cmd.SetErr(err)
		return
	}
	cmd.(*redis.Cmd).SetVal(value)
}

// replying is a store whose Redis gives the elements of a JSON list. A number is an integer, an object an error, null a nil.
func replying(t testing.TB, text string) *Store {
	var list []any
	if json.Unmarshal([]byte(text), &list) != nil || len(list) == 0 {
		t.Fatalf("%s is no list", text)
	}
	client := redis.NewClient(&redis.Options{})
	t.Cleanup(func() { _ = client.Close() })
	client.AddHook(&replies{asRedis(list).([]any)})
	return &Store{redis: client, keys: redislayout.New("fc", 7), partition: 7}
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

var at = partition.Progress{Offset: 5, AppendTime: 6, LogTime: 7}

// someBatch has two groups, and a definition.
func someBatch() *partition.Batch {
	claims := make([]partition.Claim, 3)
	for i := range claims {
		claims[i] = partition.Claim{Offset: int64(6 + i), Time: 8, LogTime: 8, UserID: fmt.Sprint(i)}
	}
	return &partition.Batch{
		Expected: at, Next: partition.Progress{Offset: 9, AppendTime: 8, LogTime: 8},
		Groups: []partition.Group{
			{Window: partition.Window{CouponID: "c"}, Limit: 2, Claims: claims},
			{Window: partition.Window{CouponID: "d", Day: "2027-01-15"}, Limit: 2, SoldOut: true, Claims: claims[:1]},
		},
		Define: &partition.Define{Fact: fcfs.Fact{
			Source: fcfs.Source{Offset: 9}, RequestedAt: 8, LogTime: 8,
			Defined: &fcfs.Definition{CouponID: "e", Limit: 1, Window: "none", TimeZone: "UTC", Rules: 1},
		}, Count: 1},
	}
}

// What is no answer of the script decides nothing: neither that the batch took effect, nor where progress is.
func TestDecide_RefusesReplies(t *testing.T) {
	good := `["=c\n1:gas\n2:s"]`
	if a := replying(t, good).Decide(t.Context(), someBatch())[0]; a.Err != nil || a.Define != fcfs.Created || a.Groups[0].Before != 1 ||
		!reflect.DeepEqual(a.Groups[0].Outcomes, []fcfs.Outcome{fcfs.Granted, fcfs.AlreadyIssued, fcfs.SoldOut}) {
		t.Fatalf("%+v", a)
	}
	for name, text := range map[string]string{
		"nothing": `[null]`, "an integer": `[1]`, "a list": `[["="]]`, "an error": `[{}]`, "no text": `[""]`,
		"another sign": `["?c\n1:gas\n2:s"]`, "an unknown definition": `["=z\n1:gas\n2:s"]`, "no definition": `["=-\n1:gas\n2:s"]`,
		"a line too few": `["=c\n1:gas"]`, "a line too many": `["=c\n1:gas\n2:s\n0:"]`, "cut short": `["=c"]`,
		"a claim too few": `["=c\n1:ga\n2:s"]`, "a claim too many": `["=c\n1:gass\n2:s"]`, "an unknown outcome": `["=c\n1:gax\n2:s"]`,
		"no count": `["=c\ngas\n2:s"]`, "a count below 0": `["=c\n-1:gas\n2:s"]`, "a count beyond numbers": `["=c\n99999999999999999999:gas\n2:s"]`,
		"more than the limit": `["=c\n1:ggs\n2:s"]`, "refused with stock left": `["=c\n1:sgs\n2:s"]`, "granted what was sold out": `["=c\n1:gas\n1:g"]`,
		"found what was expected": `["!5:6:7"]`, "found no progress": `["!5"]`, "found more than a progress": `["!5:6:7:8"]`, "found -1": `["!-1:0:0"]`,
	} {
		t.Run(name, func(t *testing.T) {
			if a := replying(t, text).Decide(t.Context(), someBatch())[0]; a.Err == nil || a.Groups != nil {
				t.Errorf("taken for %+v", a)
			}
		})
	}
}

// A batch of refusals alone has no lines.
func TestDecide_WithoutGroups(t *testing.T) {
	b := &partition.Batch{Expected: at, Next: partition.Progress{Offset: 6, AppendTime: 8, LogTime: 8}}
	for text, good := range map[string]bool{`["=-\n"]`: true, `["=-\n0:"]`: false, `["=-"]`: false, `["=c\n"]`: false} {
		if a := replying(t, text).Decide(t.Context(), b)[0]; (a.Err == nil) != good {
			t.Errorf("%s is taken for %+v", text, a)
		}
	}
}

// The same for all other calls.
func TestStore_RefusesReplies(t *testing.T) {
	calls := map[string]func(*Store) (any, error){
		"load":        func(s *Store) (any, error) { return s.Load(context.Background()) },
		"definitions": func(s *Store) (any, error) { return s.Definitions(context.Background(), at, "") },
		"windows":     func(s *Store) (any, error) { return s.Windows(context.Background(), at, 0) },
		"look":        func(s *Store) (any, error) { return s.Look(context.Background(), at, 3) },
	}
	for _, c := range []struct{ call, name, text string }{
		{"load", "nothing", `[null]`}, {"load", "text", `["5:6:7"]`}, {"load", "empty", `[[]]`}, {"load", "progress alone", `[["5:6:7"]]`},
		{"load", "progress is nil", `[[null, []]]`}, {"load", "progress is an integer", `[[5, []]]`}, {"load", "progress of a newer version", `[["5:6:7:8", []]]`},
		{"load", "outbox is nil", `[["5:6:7", null]]`}, {"load", "outbox is text", `[["5:6:7", "x"]]`}, {"load", "an element is nil", `[["5:6:7", [null]]]`},
		{"load", "an element of a newer version", `[["5:6:7", ["5:6:7\nx"]]]`}, {"load", "an error within", `[[{}, []]]`}, {"load", "one element more", `[["5:6:7", [], []]]`},
		{"definitions", "nothing", `[null]`}, {"definitions", "empty", `[[]]`}, {"definitions", "progress is an integer", `[[5]]`},
		{"definitions", "no list", `[["5:6:7"]]`}, {"definitions", "an id is an integer", `[["5:6:7", [1]]]`}, {"definitions", "ids are text", `[["5:6:7", "c"]]`},
		{"definitions", "none for a coupon", `[["5:6:7", ["c"]], ["5:6:7"]]`}, {"definitions", "nil for a coupon", `[["5:6:7", ["c"]], ["5:6:7", null, "1"]]`},
		{"definitions", "of newer rules", `[["5:6:7", ["c"]], ["5:6:7", "{\"limit\":1,\"window\":\"none\",\"time_zone\":\"UTC\",\"rules\":2}", "1"]]`},
		{"definitions", "no count", `[["5:6:7", ["c"]], ["5:6:7", "{\"limit\":1,\"window\":\"none\",\"time_zone\":\"UTC\",\"rules\":1}", null]]`},
		{"definitions", "count 0", `[["5:6:7", ["c"]], ["5:6:7", "{\"limit\":1,\"window\":\"none\",\"time_zone\":\"UTC\",\"rules\":1}", "0"]]`},
		{"windows", "nothing", `[null]`}, {"windows", "progress alone", `[["5:6:7"]]`}, {"windows", "windows are nil", `[["5:6:7", null]]`},
		{"windows", "no log time", `[["5:6:7", ["c:"]]]`}, {"windows", "log time is no number", `[["5:6:7", ["c:", "x"]]]`}, {"windows", "log time is none", `[["5:6:7", ["c:", "nan"]]]`},
		{"windows", "log time is endless", `[["5:6:7", ["c:", "inf"]]]`}, {"windows", "log time is broken", `[["5:6:7", ["c:", "1.5"]]]`}, {"windows", "log time is an integer", `[["5:6:7", ["c:", 15]]]`},
		{"windows", "no window", `[["5:6:7", ["c", "15"]]]`}, {"windows", "progress is nil", `[[null, []]]`},
		{"look", "nothing", `[null]`}, {"look", "an integer", `[1]`}, {"look", "no text", `[""]`}, {"look", "more", `["=="]`}, {"look", "a list", `[["="]]`},
		{"look", "found what was expected", `["!5:6:7"]`}, {"look", "found no progress", `["!x"]`}, {"look", "an error", `[{}]`},
	} {
		t.Run(c.call+": "+c.name, func(t *testing.T) {
			if got, err := calls[c.call](replying(t, c.text)); err == nil {
				t.Errorf("taken for %+v", got)
			} else if err.Error() == "" || errors.Is(err, context.Canceled) {
				t.Errorf("says nothing: %v", err)
			}
		})
	}
}

// Whatever Redis replies, nothing panics, and what is taken for an answer is one: written the way the script writes it, it
// is the very reply.
func FuzzStore_Replies(f *testing.F) {
	for _, text := range []string{
		`["=c\n1:gas\n2:s"]`, `["!9:6:7"]`, `["="]`, `[["5:6:7", []]]`, `[["", []]]`, `[null]`, `[[null, null]]`, `[{}]`, `[1]`,
		`[["5:6:7", ["c:", "15"]]]`, `[["5:6:7", ["c"]], ["5:6:7", "{\"limit\":1,\"window\":\"none\",\"time_zone\":\"UTC\",\"rules\":1}", "1"]]`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var list []any
		if json.Unmarshal([]byte(text), &list) != nil || len(list) == 0 {
			return
		}
		ctx := context.Background()
		if a := replying(t, text).Decide(ctx, someBatch())[0]; a.Err == nil {
			if want := written(a); asText(text) != want {
				t.Errorf("%s is taken for %q", text, want)
			}
		}
		if found, err := replying(t, text).Look(ctx, at, 3); err == nil && asText(text) != writtenProgress(found) {
			t.Errorf("%s is taken for progress %v", text, found)
		}
		if loaded, err := replying(t, text).Load(ctx); err == nil && !strings.Contains(text, loaded.Progress.String()) && loaded.Progress != partition.Nothing {
			t.Errorf("%s is taken for %+v", text, loaded)
		}
		if d, err := replying(t, text).Definitions(ctx, at, ""); err == nil && d.Found != at && len(d.Coupons) > 0 {
			t.Errorf("%s is taken for %+v", text, d)
		}
		if _, err := replying(t, text).Windows(ctx, at, 0); err != nil && err.Error() == "" {
			t.Error("says nothing")
		}
	})
}

// asText is the first reply, if it is text.
func asText(text string) string {
	var list []any
	_ = json.Unmarshal([]byte(text), &list)
	s, _ := list[0].(string)
	return s
}

func written(a partition.Answer) string {
	if a.Found != at {
		return writtenProgress(a.Found)
	}
	lines := []string{"=" + map[fcfs.Outcome]string{fcfs.None: "-", fcfs.Created: "c", fcfs.Conflict: "x", fcfs.Invalid: "i"}[a.Define]}
	for _, g := range a.Groups {
		line := fmt.Sprint(g.Before, ":")
		for _, o := range g.Outcomes {
			line += map[fcfs.Outcome]string{fcfs.Granted: "g", fcfs.AlreadyIssued: "a", fcfs.SoldOut: "s"}[o]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func writtenProgress(found partition.Progress) string {
	switch found {
	case at:
		return "="
	case partition.Nothing:
		return "!"
	}
	return "!" + found.String()
}
