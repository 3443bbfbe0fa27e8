package downstream

import (
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// identity is what a server of a test shows, and the file by which a program trusts it: SSL_CERT_FILE.
func identity(t testing.TB) (*tls.Config, string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: s.TLS.Certificates}, file
}

// listen takes an address of the loopback: a new one, or one that was had before.
func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	var l net.Listener
	var err error
	eventually(t, func() bool { // somebody's end of a connection may have it meanwhile
		l, err = net.Listen("tcp", address)
		return err == nil
	}, func() string { return err.Error() })
	return l
}
