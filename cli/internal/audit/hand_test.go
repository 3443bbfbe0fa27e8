package audit

import (
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

// What follows is how a test puts its hand into the stores of a world, and takes it out again.

var tables = []string{"definitions", "grants", "coupon_windows", "ledger_offsets"}

// keep remembers what is right.
func (w *world) keep() {
	w.t.Helper()
	w.kept = w.dump()
	for _, table := range tables {
		w.sql("CREATE TABLE kept_" + table + " AS SELECT * FROM " + table)
	}
	// So that what these refuse can be put in as well: a database that has lost its rules.
	w.sql("ALTER TABLE grants DROP CONSTRAINT grants_person, DROP CONSTRAINT grants_sequence, DROP CONSTRAINT grants_pkey")
}

// mend puts back what is right.
func (w *world) mend() {
	w.t.Helper()
	w.grants, w.dead = w.servers.TopicPrefix+event.TopicGrants, w.servers.TopicPrefix+event.TopicDeadLetters
	w.flush()
	for key, value := range w.kept {
		switch value := value.(type) {
		case string:
			w.do("SET", key, value)
		case map[string]string:
			for field, v := range value {
				w.do("HSET", key, field, v)
			}
		case []string:
			for _, v := range value {
				w.do("RPUSH", key, v)
			}
		case []redis.Z:
			for _, z := range value {
				w.do("ZADD", key, z.Score, z.Member)
			}
		}
	}
	w.sql("ALTER TABLE IF EXISTS hidden RENAME TO archived")
	w.sql("TRUNCATE archived")
	for _, table := range tables {
		w.sql("TRUNCATE " + table)
		w.sql("INSERT INTO " + table + " SELECT * FROM kept_" + table)
	}
}

// flush empties the partition.
func (w *world) flush() {
	for key := range w.dump() {
		w.do("DEL", key)
	}
}

func (w *world) dump() map[string]any {
	w.t.Helper()
	ctx := w.t.Context()
	all := make(map[string]any)
	keys := w.redis.Scan(ctx, 0, w.servers.RedisPrefix+":*", 100).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		switch w.redis.Type(ctx, key).Val() {
		case "string":
			all[key] = w.redis.Get(ctx, key).Val()
		case "hash":
			all[key] = w.redis.HGetAll(ctx, key).Val()
		case "list":
			all[key] = w.redis.LRange(ctx, key, 0, -1).Val()
		case "zset":
			all[key] = w.redis.ZRangeWithScores(ctx, key, 0, -1).Val()
		}
	}
	if err := keys.Err(); err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *world) do(args ...any) {
	w.t.Helper()
	if err := w.redis.Do(w.t.Context(), args...).Err(); err != nil {
		w.t.Fatalf("%v: %v", args, err)
	}
}

func (w *world) sql(statement string, args ...any) {
	w.t.Helper()
	tag, err := w.db.Exec(w.t.Context(), statement, args...)
	if err != nil || tag.RowsAffected() == 0 && (tag.Update() || tag.Delete() || tag.Insert()) {
		w.t.Fatalf("%s: %v, %v", statement, tag, err)
	}
}

// row puts a grant into Postgres.
func (w *world) row(source int64, couponID, userID, window string, sequence int64) {
	w.t.Helper()
	w.sql(`INSERT INTO grants VALUES (0, $1, $2, $3, $4, $5, $6, 3, now(), now())`, source, fcfs.GrantID(w.requests, fcfs.Source{Offset: source}), couponID, userID, window, sequence)
	w.sql(`UPDATE coupon_windows c SET (granted, first_requested_at, last_requested_at) =
		(SELECT count(*), min(requested_at), max(requested_at) FROM grants g WHERE (g.coupon_id, g."window") = (c.coupon_id, c."window")) WHERE coupon_id = $1`, couponID)
}

// journalOf is another journal than the issuer wrote, and a ledger that has taken it as far as it says.
func (w *world) journalOf(change func([]event.Message) []event.Message) {
	w.t.Helper()
	messages := change(slices.Clone(w.journal))
	w.made++
	w.grants = fmt.Sprintf("%sj%d.%s", w.servers.TopicPrefix, w.made, event.TopicGrants)
	w.topic(w.grants)
	if len(messages) > 0 {
		w.publish(w.grants, messages...)
	}
	highest := int64(-1)
	for _, m := range messages {
		if s, ok := event.SourceOf(event.Record{Headers: m.Headers}); ok {
			highest = max(highest, s.Offset)
		}
	}
	w.sql("UPDATE ledger_offsets SET next_offset = $1, highest_source = $2", len(messages), highest)
}

// lettersOf is another topic of dead letters.
func (w *world) lettersOf(messages ...event.Message) {
	w.t.Helper()
	w.made++
	w.dead = fmt.Sprintf("%sl%d.%s", w.servers.TopicPrefix, w.made, event.TopicDeadLetters)
	w.topic(w.dead)
	if len(messages) > 0 {
		w.publish(w.dead, messages...)
	}
}

// written is a fact as the issuer would write it.
func (w *world) written(f fcfs.Fact) event.Message {
	w.t.Helper()
	m, err := message(w.requests, f)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// grant is a fact that the log does not lead to.
func (w *world) grant(source int64, couponID, userID string, sequence int64) event.Message {
	w.t.Helper()
	return w.written(fcfs.Fact{Source: fcfs.Source{Offset: source}, RequestedAt: 1, LogTime: 1, Granted: &fcfs.GrantFact{CouponID: couponID, UserID: userID, Sequence: sequence, Limit: max(3, sequence)}})
}

// rewritten is a journal in which one fact says something else.
func (w *world) rewritten(i int, change func(*fcfs.Fact)) {
	w.t.Helper()
	w.journalOf(func(j []event.Message) []event.Message {
		f, err := readFact(event.Record{Topic: event.TopicGrants, Key: j[i].Key, Value: j[i].Value, Headers: j[i].Headers})
		if err != nil {
			w.t.Fatal(err)
		}
		change(&f)
		j[i] = w.written(f)
		return j
	})
}
