package schema

import "strings"

// An exception is a change that a schema allows and the reader refuses: for a reason that a schema can't say, or leaves open.
// What a schema refuses, the reader refuses too.
type exception struct {
	why     string
	members string // names, with spaces between them
	values  []string
}

const times = "opens_at closes_at requested_at log_time"

var exceptions = []exception{
	{"integers are written as such", "limit rules sequence source/offset source/partition", []string{"1.0", "1e2"}},
	{"a time has no leap second, since append times have none", times, []string{`"2016-12-31T23:59:60Z"`}},
	{"a time in UTC has a year from 0 to 9999", times, []string{`"0000-01-01T00:00:00+00:01"`, `"9999-12-31T23:59:59-00:01"`}},
	{"opening times are after 1970", "opens_at closes_at", []string{`"1969-12-31T23:59:59.999Z"`, `"1970-01-01T00:00:00Z"`, `"0000-01-01T00:00:00Z"`, `"0001-01-01T00:00:00Z"`}},
	{"closes_at is after opens_at", "closes_at", []string{`"1970-01-01T00:00:00.001Z"`}},
	{"opens_at is before closes_at", "opens_at", []string{`"9999-12-31T23:59:59.999Z"`}},
	{"rules of a later version are unsupported_rules, not invalid", "rules", []string{"3", "99", "4095", "4096", "100000000", "100000001", "2147483647"}},
	{"a user id has at most 200 bytes", "user_id", []string{`"` + strings.Repeat("한", 67) + `"`}},
	{"a time zone has at most 64 bytes", "time_zone", []string{`"` + strings.Repeat("한", 22) + `"`}},
	{"a sequence is at most the limit", "sequence", []string{"4095", "4096", "100000000"}},
	{"a limit is at least the sequence", "limit", []string{"1"}},
	{"a grant id is that of the source", "grant_id", []string{`"00000000-0001-8000-8000-000000000000"`, `"ffffffff-ffff-8fff-bfff-ffffffffffff"`}},
}

// excepted gives every change that is excepted, as "member value".
func excepted() map[string]bool {
	changes := map[string]bool{}
	for _, e := range exceptions {
		for _, member := range strings.Fields(e.members) {
			for _, value := range e.values {
				changes[member+" "+value] = true
			}
		}
	}
	return changes
}
