// Package waiting measures what people who wait cost a gateway, and how long the last of them waits for an answer that is
// there when all are woken at once: a gateway and an issuer as processes, and a crowd over HTTP/1.1 or HTTP/2.
//
//	go test -count=1 -v ./test/waiting -http1 15000 -http2 50000
//
// prints a table. Without the flags the crowds are small, and what is tested is that everybody is answered. A connection
// needs a file on both sides: ulimit -n bounds the crowd over HTTP/1.1.
package waiting

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/test/process"
)

var (
	http1 = flag.Int("http1", 200, "people who wait over HTTP/1.1, each on a connection")
	http2 = flag.Int("http2", 600, "people who wait over HTTP/2, each on a stream")
)

func TestMain(m *testing.M) { process.Main(m) }

func TestWaiting(t *testing.T) {
	var table strings.Builder
	table.WriteString("| people | protocol | how | before, MiB | waiting, MiB | KiB each | last answer after |\n|---|---|---|---|---|---|---|\n")
	for _, c := range []*crowd{
		{name: "posts1", protocol: "HTTP/1.1", people: *http1, how: posts},
		{name: "streams1", protocol: "HTTP/1.1", people: *http1, how: streams},
		{name: "posts2", protocol: "HTTP/2", people: *http2, how: posts},
		{name: "streams2", protocol: "HTTP/2", people: *http2, how: streams},
	} {
		t.Run(c.name, func(t *testing.T) { table.WriteString(c.measure(t).row()) })
	}
	fmt.Print("\n", table.String(), "\n")
}
