// Package schema has the JSON Schemas (draft 2020-12) of the records of pkg/event, for those who check or generate code
// by schema: one for each value of each topic, and one for each topic's headers.
//
// Members and headers that a schema does not name are allowed: they may be added. What a schema can't say (lengths in
// bytes, that a key is the value's coupon id) is in its $comment and is checked by event.Decode, which does not need them.
// The files lie beside this one, so that programs in other languages can take them from the repository.
package schema

import (
	"embed"
	"io/fs"
	"strings"

	"github.com/firstcome/firstcome/pkg/event"
)

//go:embed coupon.requests coupon.grants coupon.dead-letters
var files embed.FS

const headers = "headers" // no type of record is named so

// FS has all schemas as <topic>/<record>.json and <topic>/headers.json, topics without prefix:
// coupon.grants/coupon.granted.json.
func FS() fs.FS { return files }

// Value is the schema of a record's value: of a type of pkg/event (event.TypeCouponGranted) in a topic, which may have
// a prefix. It is nil where there is none, since that type does not belong there, or the topic holds anything, as that of
// dead letters does.
func Value(topic, eventType string) []byte {
	name, ours := strings.CutPrefix(eventType, "firstcome.")
	if !ours || name == headers {
		return nil
	}
	return read(topic, name)
}

// Headers is the schema of the headers of a topic, which may have a prefix, as an object that has the value of each as a
// string. It is nil where the topic is none of pkg/event's.
func Headers(topic string) []byte { return read(topic, headers) }

func read(topic, name string) []byte {
	for _, folder := range []string{event.TopicRequests, event.TopicGrants, event.TopicDeadLetters} {
		if !strings.HasSuffix(topic, folder) {
			continue
		}
		if b, err := files.ReadFile(folder + "/" + name + ".json"); err == nil {
			return b
		}
	}
	return nil
}
