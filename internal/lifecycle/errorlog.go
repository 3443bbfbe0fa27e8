package lifecycle

import (
	"bytes"
	"log"
)

// serverErrors is net/http's own log without what any stranger can make it say as often as they like.
type serverErrors struct{}

func (serverErrors) Write(line []byte) (int, error) {
	if !bytes.HasPrefix(line, []byte("http: TLS handshake error")) {
		log.Print(string(line))
	}
	return len(line), nil
}
