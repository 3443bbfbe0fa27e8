package lifecycle

import (
	"bytes"
	"log"
	"slices"
)

// serverErrors is net/http's own log without what any stranger can make it say as often as they like.
type serverErrors struct{}

// strangers are what such lines begin with; they quote the stranger's address, and what they sent.
var strangers = [][]byte{
	[]byte("http: TLS handshake error"), []byte("http2: server"), []byte("http2: received GOAWAY"), []byte("timeout waiting for SETTINGS"),
}

func (serverErrors) Write(line []byte) (int, error) {
	if !slices.ContainsFunc(strangers, func(begin []byte) bool { return bytes.HasPrefix(line, begin) }) {
		log.Print(string(line))
	}
	return len(line), nil
}
