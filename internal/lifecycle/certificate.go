package lifecycle

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// rereadEach is how often a certificate's files are read at most. They are small, and a handshake costs more.
const rereadEach = time.Second

// Certificate is a server's certificate from PEM files, which are read again while it is in use: whoever connects after
// the files were replaced, be it one by one or by a link as Kubernetes does it, is shown the new one. Connections that are
// open go on. Files that make no pair change nothing, and that is logged once.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	each              time.Duration

	mu      sync.Mutex
	read    time.Time
	current *tls.Certificate
	taken   []byte // the files of current
	broken  []byte // files that made no pair, when last read
	said    bool   // that they do not
}

// LoadCertificate reads the files for the first time.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log, each: rereadEach, read: time.Now()}
	files, err := c.files()
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(files[0], files[1])
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	c.taken, c.current = bytes.Join(files, nil), &pair
	return c, nil
}

// Listener speaks TLS 1.2 or later on ln, and offers HTTP/2.
func (c *Certificate) Listener(ln net.Listener) net.Listener {
	return tls.NewListener(ln, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil },
	})
}

func (c *Certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.read) >= c.each {
		c.read = time.Now()
		c.reread()
	}
	return c.current
}

// reread takes new files. While a certificate and its key are replaced one by one they do not fit: that is news only where
// it is found twice.
func (c *Certificate) reread() {
	files, err := c.files()
	content := bytes.Join(files, nil)
	if err != nil {
		content = []byte(err.Error())
	}
	if bytes.Equal(content, c.taken) {
		return
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.X509KeyPair(files[0], files[1])
	}
	switch {
	case err == nil:
		c.current, c.taken, c.broken = &pair, content, nil
		c.log.Info("took the new certificate", "until", pair.Leaf.NotAfter.UTC())
	case !bytes.Equal(content, c.broken):
		c.broken, c.said = content, false
	case !c.said:
		c.said = true
		c.log.Warn("the new certificate cannot be used, the one before goes on", "error", err.Error())
	}
}

func (c *Certificate) files() ([][]byte, error) {
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return nil, err
	}
	return [][]byte{cert, key}, nil
}
