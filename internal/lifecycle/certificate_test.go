package lifecycle

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// folder holds tls.crt and tls.key for 127.0.0.1, signed by itself.
type folder struct {
	t   *testing.T
	dir string
}

func (f folder) certFile() string { return filepath.Join(f.dir, "tls.crt") }
func (f folder) keyFile() string  { return filepath.Join(f.dir, "tls.key") }

// make gives a new pair, named so, and not yet written.
func (f folder) make(name string) (cert, key []byte, pool *x509.CertPool) {
	f.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		f.t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		f.t.Fatal(err)
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return cert, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), pool
}

func (f folder) write(file string, content []byte) {
	f.t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logLines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// shown is the name of the certificate that a new connection is shown.
func shown(t *testing.T, addr string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
}

func serveTLS(t *testing.T, f folder) (addr string, log *logLines, c *Certificate) {
	t.Helper()
	log = &logLines{}
	c, err := LoadCertificate(f.certFile(), f.keyFile(), slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	c.each = 0 // look at each handshake
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- ServeHTTP(ctx, c.Listener(ln), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }), time.Second)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String(), log, c
}

// New files are taken without a restart, and connections that are open go on.
func TestCertificate_Renewed(t *testing.T) {
	f := folder{t, t.TempDir()}
	cert, key, pool := f.make("first")
	f.write(f.certFile(), cert)
	f.write(f.keyFile(), key)
	addr, log, _ := serveTLS(t, f)

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	ask := func() {
		t.Helper()
		res, err := client.Get("https://" + addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "HTTP/2.0" {
			t.Errorf("answered %q, %v", body, err)
		}
		if hsts := res.Header.Get("Strict-Transport-Security"); hsts == "" {
			t.Error("no Strict-Transport-Security")
		}
	}
	ask()
	cert, key, _ = f.make("second")
	f.write(f.certFile(), cert)
	if name := shown(t, addr); name != "first" {
		t.Errorf("half replaced: shown the %s", name)
	}
	f.write(f.keyFile(), key)
	if name := shown(t, addr); name != "second" {
		t.Errorf("replaced: shown the %s", name)
	}
	ask() // only the first certificate is trusted here: the connection is the old one
	if log.count("took the new certificate") != 1 || log.count("cannot be used") != 0 {
		t.Errorf("logged:\n%s", &log.text)
	}
}

// Kubernetes replaces a folder by pointing a link to another.
func TestCertificate_Link(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"first", "second"} {
		f := folder{t, filepath.Join(root, name)}
		if err := os.Mkdir(f.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		cert, key, _ := f.make(name)
		f.write(f.certFile(), cert)
		f.write(f.keyFile(), key)
	}
	link := func(to string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(root, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(root, "new"), filepath.Join(root, "data")); err != nil {
			t.Fatal(err)
		}
	}
	link("first")
	addr, _, _ := serveTLS(t, folder{t, filepath.Join(root, "data")})
	if name := shown(t, addr); name != "first" {
		t.Errorf("shown the %s", name)
	}
	link("second")
	if name := shown(t, addr); name != "second" {
		t.Errorf("after the swap: shown the %s", name)
	}
}

// What cannot be used changes nothing, and is one line, however often it is looked at.
func TestCertificate_Broken(t *testing.T) {
	f := folder{t, t.TempDir()}
	cert, key, _ := f.make("first")
	f.write(f.certFile(), cert)
	f.write(f.keyFile(), key)
	addr, log, _ := serveTLS(t, f)
	for n, break_ := range []func(){
		func() { f.write(f.certFile(), []byte("nonsense")) },
		func() { other, _, _ := f.make("another"); f.write(f.certFile(), other) },
		func() { f.write(f.certFile(), nil) },
		func() {
			if err := os.Remove(f.certFile()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		break_()
		for range 5 {
			if name := shown(t, addr); name != "first" {
				t.Errorf("shown the %s", name)
			}
		}
		if got := log.count("cannot be used"); got != n+1 {
			t.Errorf("after %d breakages: %d lines:\n%s", n+1, got, &log.text)
		}
	}
	f.write(f.certFile(), cert)
	if name := shown(t, addr); name != "first" || log.count("took") != 0 {
		t.Errorf("the old one is back: shown the %s, logged:\n%s", name, &log.text)
	}
	cert, key, _ = f.make("second")
	f.write(f.certFile(), cert)
	f.write(f.keyFile(), key)
	if name := shown(t, addr); name != "second" {
		t.Errorf("mended: shown the %s", name)
	}
}

func TestCertificate_ReadSeldom(t *testing.T) {
	f := folder{t, t.TempDir()}
	cert, key, _ := f.make("first")
	f.write(f.certFile(), cert)
	f.write(f.keyFile(), key)
	addr, _, c := serveTLS(t, f)
	c.mu.Lock()
	c.each, c.read = time.Hour, time.Now()
	c.mu.Unlock()
	cert, key, _ = f.make("second")
	f.write(f.certFile(), cert)
	f.write(f.keyFile(), key)
	if name := shown(t, addr); name != "first" {
		t.Errorf("within the hour: shown the %s", name)
	}
	c.mu.Lock()
	c.each = time.Nanosecond
	c.mu.Unlock()
	if name := shown(t, addr); name != "second" {
		t.Errorf("after it: shown the %s", name)
	}
}

func TestCertificate_OldTLS(t *testing.T) {
	f := folder{t, t.TempDir()}
	cert, key, pool := f.make("first")
	f.write(f.certFile(), cert)
	f.write(f.keyFile(), key)
	addr, _, _ := serveTLS(t, f)
	for version, okay := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: version})
		if (err == nil) != okay {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			conn.Close()
		}
	}
}
