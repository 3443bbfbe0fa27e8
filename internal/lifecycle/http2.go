package lifecycle

import (
	"net/http"
	"time"
)

const (
	maxStreams    = 250              // of an HTTP/2 connection at once; whoever needs more opens another
	unreadTimeout = 15 * time.Second // of an HTTP/2 connection on which nothing that is written gets through
	// What is kept of bodies that nobody reads: the least that net/http takes, and several bodies.
	unreadOfConnection, unreadOfStream = 64 << 10, 16 << 10
)

// protocols are HTTP/1.1, and HTTP/2 by ALPN over TLS and by prior knowledge without (RFC 9113 §3.3), as proxies speak it.
func protocols() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return &p
}

func http2Config() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams, WriteByteTimeout: unreadTimeout,
		MaxReceiveBufferPerConnection: unreadOfConnection, MaxReceiveBufferPerStream: unreadOfStream,
	}
}
