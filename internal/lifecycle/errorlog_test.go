package lifecycle

import (
	"bytes"
	"log"
	"testing"
)

// What any stranger can make net/http say is not in the log; what says that a handler is broken is.
func TestServerErrors(t *testing.T) {
	var said bytes.Buffer
	defer log.SetOutput(log.Writer())
	log.SetOutput(&said)
	from := log.New(serverErrors{}, "", 0)
	for _, line := range []string{
		"http: TLS handshake error from 203.0.113.9:1: EOF",
		"http2: server connection error from 203.0.113.9:1: connection error: PROTOCOL_ERROR",
		"http2: server: error reading preface from client 203.0.113.9:1: bogus greeting \"hello\"",
		"http2: received GOAWAY [FrameHeader GOAWAY len=8], starting graceful shutdown",
		"timeout waiting for SETTINGS frames from 203.0.113.9:1",
	} {
		from.Print(line)
	}
	if said.Len() > 0 {
		t.Errorf("strangers wrote %q", &said)
	}
	from.Print("http: panic serving 127.0.0.1:1: a bug")
	if !bytes.Contains(said.Bytes(), []byte("a bug")) {
		t.Error("a panic is not in the log")
	}
}
